"""Folders of complete models in the formats of published ones: vocabularies of real text, random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    M2M100Tokenizer,
    MarianTokenizer,
    MBart50Tokenizer,
    MBartTokenizer,
    NllbTokenizer,
    PreTrainedModel,
)

from tests.continual_mt.interchange.huggingface.models import SHAPE, ready
from tests.continual_mt.interchange.huggingface.published import (
    numbered,
    sentencepiece_model,
    used_pieces,
    write_marian,
    write_shared,
)

Text = Mapping[str, list[str]]
SOURCE, TARGET = "fr", "de"


@dataclass(frozen=True)
class Complete:
    """A model and its tokenizer in ``folder``; ``pair`` is what to import, ``first`` the decoder's first ids."""

    folder: Path
    model: PreTrainedModel
    tokenizer: Any
    pair: str
    first: tuple[int, ...]

    def generate(self, sentence: str, beam: int, **settings: Any) -> list[int]:
        """The ids that transformers finds within our limit of the length, without the first ones and the end."""
        source = torch.tensor([self.tokenizer(sentence).input_ids])
        forced = len(self.first) - 1
        limit = min(2 * source.shape[1] + 20, self.model.config.max_position_embeddings - 1 - forced)
        given = GenerationConfig(
            num_beams=beam,
            early_stopping=False,
            max_new_tokens=limit + forced,
            decoder_start_token_id=self.first[0],
            forced_bos_token_id=self.first[1] if forced else None,
            eos_token_id=self.model.config.eos_token_id,
            pad_token_id=self.model.config.pad_token_id,
            **settings,
        )
        with torch.no_grad():
            found = self.model.generate(source, generation_config=given, attention_mask=torch.ones_like(source))
        ids = found[0, len(self.first) :].tolist()
        end = self.model.config.eos_token_id
        return ids[: ids.index(end)] if end in ids else ids


def marian(folder: Path, text: Text, *, separate: bool = False, several: bool = False) -> Complete:
    """Marian with one vocabulary or two, for one target language or, by ``>>deu<<``, several."""
    models = (sentencepiece_model(text[SOURCE], 400), sentencepiece_model([*text[TARGET], *text["en"]], 400))
    source, target = used_pieces(models[0], text[SOURCE]), used_pieces(models[1], text[TARGET])
    if separate:
        # In the published models of two vocabularies, both padding tokens have one id.
        numbers = [numbered("</s>", "<unk>", "<pad>", *pieces) for pieces in (source, target)]
        write_marian(folder, models, *numbers)
    else:
        tokens = (">>deu<<", ">>eng<<", ">>zlw_x<<") if several else ()
        write_marian(folder, models, numbered("</s>", "<unk>", *tokens, *source, *target, "<pad>"))
    config = json.loads((folder / "config.json").read_text())
    pad, start = config["pad_token_id"], config["decoder_start_token_id"]
    generation = {"bad_words_ids": [[start]], "renormalize_logits": True, "num_beams": 4, "max_length": 512}
    model = with_weights(
        folder,
        generation={**generation, "decoder_start_token_id": start, "pad_token_id": pad, "eos_token_id": 0},
        share_encoder_decoder_embeddings=not separate,
        scale_embedding=True,
        activation_function="swish",
        bos_token_id=0,
        forced_eos_token_id=0,
    )
    if not (folder / "tokenizer_config.json").exists():
        (folder / "tokenizer_config.json").write_text(json.dumps({"source_lang": "fra", "target_lang": "deu"}))
    tokenizer = MarianTokenizer.from_pretrained(folder)
    if several:
        named = lambda sentence: tokenizer(f">>deu<< {sentence}")  # noqa: E731
        return Complete(folder, model, named, "fr-de", (start,))
    return Complete(folder, model, tokenizer, "fr-de", (start,))


def mbart50(folder: Path, text: Text) -> Complete:
    write_shared("mbart50", folder, _all(text, "unigram"), ())
    model = with_weights(folder, generation={"decoder_start_token_id": 2, "forced_eos_token_id": 2, "num_beams": 5})
    tokenizer = MBart50Tokenizer.from_pretrained(folder, src_lang="fr_XX", tgt_lang="de_DE")
    return Complete(folder, model, tokenizer, "fr_XX-de_DE", (2, tokenizer.convert_tokens_to_ids("de_DE")))


def mbart(folder: Path, text: Text, **generation: object) -> Complete:
    """mBART as it was fine-tuned for one target language; without ``decoder_start_token_id``, as before that."""
    write_shared("mbart", folder, _all(text, "unigram"), ())
    tokenizer = MBartTokenizer.from_pretrained(folder, src_lang="fr_XX", tgt_lang="de_DE")
    first = tokenizer.convert_tokens_to_ids("de_DE")
    chosen = generation or {"decoder_start_token_id": first}
    model = with_weights(folder, generation=chosen, scale_embedding=True)
    return Complete(folder, model, tokenizer, "fr-de", (first,))


def m2m100(folder: Path, text: Text) -> Complete:
    write_shared("m2m100", folder, _all(text, "bpe"), [*text[SOURCE], *text[TARGET]])
    theirs = with_weights(
        folder,
        generation={"decoder_start_token_id": 2, "early_stopping": True, "num_beams": 5, "max_length": 200},
        encoder_layerdrop=0.05,
        decoder_layerdrop=0.05,
        scale_embedding=True,
    )
    tokenizer = M2M100Tokenizer.from_pretrained(folder, src_lang="fr", tgt_lang="de")
    return Complete(folder, theirs, tokenizer, "fr-de", (2, tokenizer.get_lang_id("de")))


def nllb(folder: Path, text: Text, *, legacy: bool = False, half: bool = False) -> Complete:
    write_shared("nllb", folder, _all(text, "bpe"), (), **({"legacy_behaviour": True} if legacy else {}))
    theirs = with_weights(folder, generation={"decoder_start_token_id": 2, "max_length": 200}, half=half)
    tokenizer = NllbTokenizer.from_pretrained(folder, src_lang="fra_Latn", tgt_lang="deu_Latn")
    return Complete(folder, theirs, tokenizer, "fra_Latn-de", (2, tokenizer.convert_tokens_to_ids("deu_Latn")))


Make = Callable[[Path, Text], Complete]
FAMILIES: dict[str, Make] = {
    "marian": marian,
    "marian, two vocabularies": lambda folder, text: marian(folder, text, separate=True),
    "marian, several targets": lambda folder, text: marian(folder, text, several=True),
    "mbart50": mbart50,
    "mbart": mbart,
    "m2m100": m2m100,
    "nllb": nllb,
    "nllb, legacy": lambda folder, text: nllb(folder, text, legacy=True),
    "nllb, half precision": lambda folder, text: nllb(folder, text, half=True),
}


def _all(text: Text, kind: str) -> bytes:
    return sentencepiece_model([sentence for sentences in text.values() for sentence in sentences], 600, kind)


def with_weights(
    folder: Path, *, generation: Mapping[str, object], half: bool = False, **changes: object
) -> PreTrainedModel:
    """Write random weights that fit the folder's configuration; returns the model in float32, as it is read again."""
    config = json.loads((folder / "config.json").read_text())
    shape = {**SHAPE, "max_position_embeddings": 64, "init_std": 0.3}
    (folder / "config.json").write_text(json.dumps({**shape, **config, **changes}))
    torch.manual_seed(0)
    model = ready(AutoModelForSeq2SeqLM.from_config(AutoConfig.from_pretrained(folder)))
    model.generation_config = GenerationConfig()
    (model.half() if half else model).save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(generation))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    return model.float()
