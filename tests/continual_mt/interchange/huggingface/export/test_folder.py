"""Exports to transformers are compared in a process where none of our packages can be imported."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file

from continual_mt.artifacts.parent import Parent
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.interchange.huggingface.export.folder import export_hugging_face
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from continual_mt.model.architecture import parameter_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.pair_task import Task
from tests.continual_mt.conftest import MakeParent, TokenizeFiles
from tests.continual_mt.interchange.conftest import BASE, PRE, PROVENANCE, RECIPE, MakeModel
from tests.continual_mt.interchange.huggingface.published import (
    numbered,
    sentencepiece_model,
    used_pieces,
    write_marian,
)
from tests.continual_mt.interchange.many_languages import CODES, NEW, Tokenizers
from tests.continual_mt.interchange.outside import run_outside
from tests.continual_mt.training.runs import run

# What transformers could read otherwise than we: white space, NFD, rare characters, names of special pieces.
CYRILLIC = "привет мир как дела друг " * 3
STRANGE = [
    "dos  espacios\u00a0y  fin ",
    "decisio\u0301n en NFD, niño",
    "«comillas» – y… ¿qué? ''así''",
    "漢字 и кириллица 🎉",
    "</s> <s> <pad> <unk> ▁ <0x41>",
    "漢__de__ y es_XX __es__ deu_Latn >>deu<<",
    "",
]


def with_other_ids(text: list[str], **ids: int) -> Tokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, model_type="unigram", vocab_size=300, minloglevel=2, **ids
    )
    return Tokenizer(model.getvalue())


def imported_vocabulary(text: dict[str, list[str]], folder: Path) -> ImportedVocabulary:
    """The vocabulary of OPUS-MT's models: one for both languages, with pieces that one side's model lacks."""
    models = sentencepiece_model(text["es"], 400), sentencepiece_model(text["de"], 400)
    pieces = [*used_pieces(models[0], text["es"][::2]), *used_pieces(models[1], text["de"][::2])]
    return read_vocabulary(write_marian(folder / "model", models, numbered("</s>", "<unk>", *pieces, "<pad>")))


def trained(parent: Parent, tokenize_files: TokenizeFiles) -> PairModel:
    """A model that was trained just long enough to end its sentences."""
    values = {"updates": 100, "batch_tokens": 300, "warmup": 0, "dropout": 0.0, "precision": "float32"}
    task = Task(
        model=Transformer.pointing_at(parent.architecture, {name: t.clone() for name, t in parent.tensors.items()}),
        trainable=parameter_names(parent.architecture),
        corpus=tokenize_files("es", "en"),
        source=parent.source_tokenizer,
        target=parent.target_tokenizer,
        settings=TrainingSettings.model_validate(values | {"learning_rate": 0.02}),
        seed=3,
    )
    run(task)
    return PairModel(parent.pair, task.model.eval(), *parent.sides(parent.pair), RECIPE)


@dataclass
class Case:
    model: PairModel
    folder: Path
    sources: list[str]
    references: list[str]
    found: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        return [*self.sources, *STRANGE]


CLASSES = {
    "marian": "MarianMTModel",
    "m2m100": "BlenderbotForConditionalGeneration",
    "nllb": "BlenderbotForConditionalGeneration",
    "mbart50": "MBartForConditionalGeneration",
    "mbart": "MBartForConditionalGeneration",
}
NAMES = {
    "marian": "MarianMTModel",
    "marian, untied": "MarianMTModel",
    "marian, bytes": "MarianMTModel",
    "marian, other ids": "MarianMTModel",
    "marian, other script": "MarianMTModel",
    "marian, imported": "MarianMTModel",
    "marian, imported and added": "MarianMTModel",
    "bart": "BartForConditionalGeneration",
    "mbart": "MBartForConditionalGeneration",
    "mbart, two sizes": "MBartForConditionalGeneration",
    "mbart, one table": "MBartForConditionalGeneration",
    "mbart, fairseq": "MBartForConditionalGeneration",
    "m2m100": "BlenderbotForConditionalGeneration",
    "learned": "BlenderbotForConditionalGeneration",
    **{f"tokens: {name}": CLASSES[name.partition(",")[0]] for name in (*CODES, *NEW)},
}


TRAINED = {"marian": BASE, "mbart": replace(PRE, positions="learned", embedding_norm=True, activation="gelu")}


@pytest.fixture(scope="module")
def models(
    make_model: MakeModel,
    make_parent: MakeParent,
    django_tokenizers: dict[str, Tokenizer],
    django_catalogs: dict[str, list[str]],
    tokenize_files: TokenizeFiles,
    pairs_with_tokens: dict[str, Tokenizers],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, PairModel]:
    spanish, german, english = (django_tokenizers[name] for name in ("es", "de", "en"))
    with_bytes = [train_tokenizer(lambda name=name: django_catalogs[name], 1000) for name in ("es", "de")]
    assert all(tokenizer.byte_types for tokenizer in with_bytes)
    moved = with_other_ids(django_catalogs["de"], pad_id=299, unk_id=2, bos_id=0, eos_id=1)
    # To a tokenizer without Latin letters, '</s>' in a text is one unknown piece.
    cyrillic = train_tokenizer(lambda: ["привет мир", "как дела друг", "мир всем людям"] * 50, 45)
    imported = imported_vocabulary(django_catalogs, tmp_path_factory.mktemp("marian"))
    banning = imported.target.with_side_tokens(SideTokens(banned=(imported.target.pad,)))
    mbart = TRAINED["mbart"]
    m2m100 = replace(PRE, positions="sinusoidal-fairseq", position_offset=2)
    architectures = {
        "MarianMTModel": BASE,
        "MBartForConditionalGeneration": mbart,
        "BlenderbotForConditionalGeneration": m2m100,
    }
    one_table = make_model(mbart, spanish, spanish)
    tensors = dict(one_table.transformer.state_dict())
    tensors["target.embedding"] = tensors["source.embedding"]
    one_table = replace(one_table, transformer=Transformer.pointing_at(mbart, tensors))
    return {
        **{name: trained(make_parent(architecture), tokenize_files) for name, architecture in TRAINED.items()},
        "marian, untied": make_model(replace(BASE, tied_output=False, activation="gelu"), german, english),
        "marian, bytes": make_model(replace(BASE, activation="swish", scale_embedding=False), *with_bytes),
        "marian, other ids": make_model(BASE, spanish, moved),
        "marian, other script": make_model(BASE, cyrillic, german),
        "marian, imported": make_model(BASE, imported.source, banning),
        "marian, imported and added": make_model(BASE, spanish, banning),
        "bart": make_model(replace(BASE, positions="learned", embedding_norm=True), german, english),
        "mbart, two sizes": make_model(mbart, spanish, german),
        "mbart, one table": one_table,
        "mbart, fairseq": make_model(replace(m2m100, embedding_norm=True, tied_output=False), german, spanish),
        "m2m100": make_model(m2m100, spanish, german),
        "learned": make_model(replace(PRE, positions="learned"), german, english),
        **{
            f"tokens: {name}": make_model(architectures[CLASSES[name.partition(",")[0]]], *sides)
            for name, sides in pairs_with_tokens.items()
        },
    }


COMPUTE = """
import torch
from safetensors.torch import save_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

torch.set_num_threads(1)
found = {}
for name, case in given.items():
    tokenizer = AutoTokenizer.from_pretrained(case["folder"])
    model, report = AutoModelForSeq2SeqLM.from_pretrained(case["folder"], output_loading_info=True)
    model.eval()
    batch = tokenizer(case["sources"], padding=True, return_tensors="pt")
    labels = tokenizer(text_target=case["references"])["input_ids"]
    inputs = [torch.tensor([row]) for row in case["inputs"]]
    with torch.no_grad():
        logits = [
            model(**tokenizer([source], return_tensors="pt"), decoder_input_ids=row).logits[0]
            for source, row in zip(case["sources"], inputs)
        ]
        padded = model(**batch, decoder_input_ids=inputs[0].expand(len(case["sources"]), -1)).logits
        greedy = model.generate(**batch, num_beams=1)
        beam = model.generate(**batch)
    save_file(
        {"padded": padded.contiguous(), **{str(i): rows.contiguous() for i, rows in enumerate(logits)}},
        case["logits"],
    )
    found[name] = {
        "class": type(model).__name__,
        "report": {key: sorted(map(str, value)) for key, value in report.items()},
        "ids": [tokenizer(text)["input_ids"] for text in [*case["sources"], *case["strange"]]],
        "target": labels,
        "greedy": greedy.tolist(),
        "beam": tokenizer.batch_decode(beam, skip_special_tokens=True),
    }
"""


@pytest.fixture(scope="module")
def cases(
    models: dict[str, PairModel],
    django_catalogs: dict[str, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Case]:
    made, given = {}, {}
    for name, model in models.items():
        folder = tmp_path_factory.mktemp("export") / "model"
        folder.mkdir()
        export_hugging_face(model, folder, PROVENANCE)
        originals = [CYRILLIC] * len(django_catalogs["es"]) if name == "marian, other script" else django_catalogs["es"]
        # At this length our search and theirs have the same limit of target tokens.
        target = django_catalogs["en" if name in TRAINED else "de"]
        rows = [
            (source, reference)
            for source, reference in zip(originals, target, strict=True)
            if 14 <= len(model.source.tokenizer.encode(source)) <= model.maximum_tokens
            and 1 <= len(model.target.tokenizer.encode(reference)) <= model.maximum_tokens
        ][:6]
        ids = exported_ids(folder, "target_vocab.json", model.target.tokenizer)
        made[name] = Case(model, folder, [row[0] for row in rows], [row[1] for row in rows], {})
        given[name] = {
            "folder": str(folder),
            "sources": made[name].sources,
            "references": made[name].references,
            "inputs": [
                [
                    ids[number]
                    for number in (*model.target.tokenizer.before_target, *model.target.tokenizer.encode(row[1]))
                ]
                for row in rows
            ],
            "strange": STRANGE,
            "logits": str(folder.parent / "logits.safetensors"),
        }
    answers = run_outside(COMPUTE, given, tmp_path_factory.mktemp("outside"))
    for name, case in made.items():
        case.found = answers[name]
    return made


@pytest.fixture(params=list(NAMES))
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    case = cases[request.param]
    assert case.found["class"] == NAMES[request.param]
    return case


def exported_ids(folder: Path, file: str, tokenizer: Tokenizer) -> list[int]:
    """The exported id of each of our ids."""
    vocabulary = json.loads((folder / file).read_text("utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    names = {tokenizer.start: "<s >" if "<s >" in vocabulary else tokenizer.pieces[tokenizer.start]}
    for number, role in ((tokenizer.pad, "pad"), (tokenizer.unknown, "unk"), (tokenizer.end, "eos")):
        names[number] = settings[f"{role}_token"]
    if "additional_special_tokens" in settings:  # the tokenizer's end token is that of the language
        (names[tokenizer.end],) = settings["additional_special_tokens"]
    return [vocabulary[names.get(number, piece)] for number, piece in enumerate(tokenizer.pieces)]


def test_all_weights_are_loaded_and_no_others(case: Case) -> None:
    positions = {f"model.{stack}.embed_positions.weight" for stack in ("encoder", "decoder")}
    unused = {"model.shared.weight"}
    for problem, names in case.found["report"].items():
        assert not set(names) - positions - unused, problem


def test_token_ids_are_ours(case: Case) -> None:
    source, target = case.model.source.tokenizer, case.model.target.tokenizer
    ids = exported_ids(case.folder, "vocab.json", source)
    expected = [[ids[number] for number in source.frame_source(source.encode(text))] for text in case.texts]
    assert case.found["ids"] == expected
    if source.side_tokens.before or source.side_tokens.after:
        return  # it is for translating only: that is in the card
    ids = exported_ids(case.folder, "target_vocab.json", target)
    assert case.found["target"] == [
        [ids[number] for number in (*target.encode(text), target.end)] for text in case.references
    ]


def test_logits_are_ours(case: Case) -> None:
    theirs = load_file(case.folder.parent / "logits.safetensors")
    ids = torch.tensor(exported_ids(case.folder, "target_vocab.json", case.model.target.tokenizer))
    differences = []
    for i, (source, reference) in enumerate(zip(case.sources, case.references, strict=True)):
        (ours,) = case.model.logits([source], [reference])
        differences.append(float((theirs[str(i)][:, ids] - ours[0]).abs().max()))
        assert torch.equal(theirs[str(i)].argmax(1), ids[ours[0].argmax(1)])
    assert max(differences) < 1e-5
    (ours,) = case.model.logits(case.sources, [case.references[0]] * len(case.sources))
    torch.testing.assert_close(theirs["padded"][..., ids], ours, atol=1e-5, rtol=1e-5)
    others = set(range(theirs["0"].shape[1])) - set(ids.tolist())
    assert all(theirs["0"][:, number].isneginf().all() for number in others)


def test_greedy_search_gives_our_tokens(case: Case) -> None:
    source, target = case.model.source.tokenizer, case.model.target.tokenizer
    ids = exported_ids(case.folder, "target_vocab.json", target)
    ours = case.model.search([source.encode(text) for text in case.sources], Search(beam=1))
    for row, (best,) in zip(case.found["greedy"], ours, strict=True):
        before, tokens = row[: len(target.before_target)], row[len(target.before_target) :]
        assert before == [ids[number] for number in target.before_target]
        if ids[target.end] in tokens:
            tokens = tokens[: tokens.index(ids[target.end])]
        assert tokens == [ids[number] for number in best.tokens]


def test_the_beam_search_that_is_configured_gives_our_text(case: Case) -> None:
    ours = case.model.translate(case.sources)
    assert case.found["beam"] == [text.strip() for text in ours]


def test_trained_models_end_their_sentences_and_differ_between_them(cases: dict[str, Case]) -> None:
    for name in TRAINED:
        found = cases[name].found["beam"]
        assert len(set(found)) > 3
        assert min(map(len, found)) < 40


def test_special_tokens_have_their_usual_names_unless_a_text_can_spell_them(cases: dict[str, Case]) -> None:
    names = {}
    for name in ("marian", "marian, other script"):
        settings = json.loads((cases[name].folder / "tokenizer_config.json").read_text("utf-8"))
        names[name] = [settings[f"{role}_token"] for role in ("pad", "unk", "eos")]
    assert names == {
        "marian": ["<pad>", "<unk>", "</s>"],
        "marian, other script": ["<pad >", "<unk>", "</s >"],
    }


def test_sides_with_one_table_share_it(cases: dict[str, Case]) -> None:
    sizes = {
        name: (cases[name].folder / "model.safetensors").stat().st_size
        for name in ("mbart, two sizes", "mbart, one table")
    }
    assert sizes["mbart, two sizes"] - sizes["mbart, one table"] > 3 * 300 * 16 * 4


def test_the_card_says_which_tokens_the_tokenizer_adds(cases: dict[str, Case]) -> None:
    def said(name: str) -> str:
        card = (cases[name].folder / "README.md").read_text("utf-8")
        _, found, rest = card.partition("The tokenizer itself puts ")
        return rest.split(":")[0] if found else ""

    assert said("tokens: m2m100") == "`__es__` before each sentence"
    assert said("tokens: marian") == "`>>deu<<` before each sentence"
    assert said("tokens: mbart, new target") == "`es_XX` after each sentence"
    assert said("tokens: m2m100, new source") == said("marian") == ""


def test_generation_is_configured_with_the_tokens(cases: dict[str, Case]) -> None:
    def settings(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((cases[name].folder / "generation_config.json").read_text("utf-8"))
        return {key: found.get(key) for key in ("forced_bos_token_id", "decoder_start_token_id", "bad_words_ids")}

    def number(name: str, token: str) -> int:
        found: dict[str, int] = json.loads((cases[name].folder / "target_vocab.json").read_text("utf-8"))
        return found[token]

    for name, forced, start, banned in (
        ("m2m100", "__de__", "</s>", None),
        ("m2m100, new source", "__de__", "</s>", None),
        ("m2m100, new target", None, "<s>", None),
        ("mbart", None, "de_DE", None),
        ("marian, new source", None, "<pad>", "<pad>"),
    ):
        folder = f"tokens: {name}"
        assert settings(folder) == {
            "forced_bos_token_id": forced and number(folder, forced),
            "decoder_start_token_id": number(folder, start),
            "bad_words_ids": banned and [[number(folder, banned)]],
        }


def test_text_that_looks_like_a_language_code_is_mentioned(cases: dict[str, Case]) -> None:
    card = (cases["marian"].folder / "README.md").read_text("utf-8")
    assert "begins with `>>`" in card
    assert "| one \\| two | es-de | train | base | 1,200 | CC-BY-4.0 |" in card
    assert "| test | bleu | 30.04 | 5 | 1,012 | nrefs:1\\|case:mixed |" in card
    assert "| base | parent es-de | ffffffffffff | replayed it: base/pt-de:1 |" in card
