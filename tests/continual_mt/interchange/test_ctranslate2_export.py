"""Exports to CTranslate2 are used by the lines of their model card, where none of our packages can be imported."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.ctranslate2_model import CTranslate2Model, Precision
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.interchange.ctranslate2_export import export_ctranslate2
from tests.continual_mt.interchange.conftest import BASE, PRE, PROVENANCE, MakeModel
from tests.continual_mt.interchange.many_languages import CODES, NEW, Tokenizers
from tests.continual_mt.interchange.outside import run_outside

ARCHITECTURES = {
    "post-norm": BASE,
    "no class of transformers": replace(BASE, norm="pre", tied_output=False),
    "mbart": replace(PRE, positions="learned", embedding_norm=True),
}

LENGTHS = range(14, 44)
"""At these lengths our limit of target tokens is that of the model."""
STRANGE = ["漢字 __de__ </s> <pad> de_DE и 🎉 y", ">>deu<< deu_Latn <unk> en 漢"]

COMPUTE = """
import ctranslate2, sentencepiece
source, target = (sentencepiece.SentencePieceProcessor(f"{side}.spm") for side in ("source", "target"))
engine = ctranslate2.Translator(".", intra_threads=1)
batch = [[*source.id_to_piece(ids), given["end"]] for ids in source.encode(given["texts"])]
results = engine.translate_batch(batch, beam_size=1, max_decoding_length=47, min_decoding_length=0, return_scores=True)
found = {"texts": [target.decode(result.hypotheses[0]) for result in results],
         "scores": [result.scores[0] for result in results], "type": engine.compute_type}
"""


def card_lines(folder: Path) -> str:
    (lines,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    return str(lines)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_translations_and_scores_are_ours(
    name: str,
    make_model: MakeModel,
    django_tokenizers: dict[str, Tokenizer],
    django_catalogs: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    model = make_model(ARCHITECTURES[name], django_tokenizers["es"], django_tokenizers["de"])
    export_ctranslate2(model, tmp_path, PROVENANCE, precision="float32")
    # At this length our limit of target tokens is that of the model.
    texts = [text for text in django_catalogs["es"] if 14 <= len(model.source.tokenizer.encode(text)) <= 47][:8]
    found = run_outside(COMPUTE, {"texts": texts, "end": "</s>"}, tmp_path)
    ours = [best for (best,) in model.translations(texts, Search(beam=1))]
    assert found["texts"] == [best.text for best in ours]
    assert found["scores"] == pytest.approx([best.score for best in ours], abs=1e-4)
    assert found["type"] == "float32"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_lines_of_the_card_translate(
    precision: Precision, make_model: MakeModel, django_tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    export_ctranslate2(model, tmp_path, PROVENANCE, precision=precision)
    lines = (
        card_lines(tmp_path)
        .replace("A sentence in es.", "Introduzca una lista de números.")
        .replace("print(", "found.append(")
    )
    found = run_outside(f"found = []\n{lines}", None, tmp_path)
    engine = CTranslate2Model(model, tmp_path, precision, threads=1)
    sources = [model.source.tokenizer.encode("Introduzca una lista de números.")]
    (best,) = engine.search(sources, Search())[0]
    assert model.target.tokenizer.decode(best.tokens)[:30] == found[0][:30] != ""
    assert f"Weights are in {precision}." in (tmp_path / "README.md").read_text("utf-8")


def test_int8_is_smaller(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    sizes = []
    for precision in ("float32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        export_ctranslate2(model, folder, PROVENANCE, precision="int8" if precision == "int8" else "float32")
        sizes.append((folder / "model.bin").stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]


@pytest.fixture(scope="module")
def translated(
    make_model: MakeModel,
    pairs_with_tokens: dict[str, Tokenizers],
    django_catalogs: dict[str, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[PairModel, list[str], list[Any], Path]]:
    """The models of pairs with language tokens, sentences, and what the lines of the cards made of these."""
    code, given, cases = ["found = {}"], {}, {}
    for name, sides in pairs_with_tokens.items():
        model = make_model(ARCHITECTURES["mbart" if "mbart" in name else "post-norm"], *sides)
        folder = tmp_path_factory.mktemp("export")
        export_ctranslate2(model, folder, PROVENANCE, precision="float32")
        language = "pt" if "new source" in name else "es"
        texts = [text for text in [*STRANGE, *django_catalogs[language]] if len(sides[0].encode(text)) in LENGTHS]
        given[name] = texts = texts[:7]
        assert texts[:2] == STRANGE
        lines = card_lines(folder).replace('["A sentence in es."]', f"given[{name!r}]")
        lines = lines.replace("beam_size=5", "beam_size=1, return_scores=True")
        lines = lines.replace("print(", "translations.append((result.scores[0], ").replace(".strip())", ".strip()))")
        lines = lines.replace('Translator(".")', f"Translator({str(folder)!r}, intra_threads=1)")
        lines = lines.replace('f"{side}.spm"', f"{str(folder)!r} + f'/{{side}}.spm'")
        code += ["translations = []", lines, f"found[{name!r}] = translations"]
        cases[name] = (model, texts, folder)
    found = run_outside("\n".join(code), given, tmp_path_factory.mktemp("outside"))
    return {name: (model, texts, found[name], folder) for name, (model, texts, folder) in cases.items()}


@pytest.mark.parametrize("name", [*CODES, *NEW])
def test_the_lines_of_the_card_put_the_tokens_of_languages_around_sentences(
    name: str, translated: dict[str, tuple[PairModel, list[str], list[Any], Path]]
) -> None:
    model, texts, found, _ = translated[name]
    ours = [best for (best,) in model.translations(texts, Search(beam=1))]
    assert [text for _, text in found] == [best.text.strip() for best in ours]
    scores = [score for score, _ in found]
    assert scores == pytest.approx([best.score for best in ours], abs=1e-4)
    assert len({round(score, 3) for score in scores}) > 4


def test_the_tokens_are_in_the_description(
    translated: dict[str, tuple[PairModel, list[str], list[Any], Path]],
) -> None:
    tokens = {
        name: json.loads((folder / "continual-mt.json").read_text("utf-8"))["tokens"]
        for name, (_, _, _, folder) in translated.items()
    }
    none: dict[str, object] = {"source_before": [], "source_after": ["</s>"], "target_prefix": [], "suppressed": []}
    none |= {"unknown": "<unk>", "maximum_decoding_length": 47}
    assert tokens["m2m100"] == none | {"source_before": ["__es__"], "target_prefix": ["__de__"]}
    assert tokens["m2m100, new source"] == none | {"target_prefix": ["__de__"]}
    assert tokens["m2m100, new target"] == none | {"source_before": ["__es__"]}
    assert tokens["mbart"] == none | {"source_after": ["</s>", "es_XX"]}
    assert tokens["marian"] == none | {"source_before": [">>deu<<"], "suppressed": ["<pad>"]}
