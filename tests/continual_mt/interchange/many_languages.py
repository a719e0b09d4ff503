"""Vocabularies of parents of many languages in the formats of published models, and the tokenizers of their pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from continual_mt.languages import Pair
from tests.continual_mt.interchange.huggingface.published import (
    numbered,
    sentencepiece_model,
    used_pieces,
    write_marian,
    write_shared,
)

Text = Mapping[str, list[str]]
Tokenizers = tuple[Tokenizer, Tokenizer]
OWN, NEW_SOURCE, NEW_TARGET = Pair("es", "de"), Pair("pt", "de"), Pair("es", "pt")

CODES = {
    "marian": ("spa", "deu"),
    "m2m100": ("es", "de"),
    "nllb": ("spa_Latn", "deu_Latn"),
    "mbart50": ("es_XX", "de_DE"),
    "mbart": ("es_XX", "de_DE"),
}

NEW = {
    "marian, new source": NEW_SOURCE,
    "m2m100, new source": NEW_SOURCE,
    "m2m100, new target": NEW_TARGET,
    "mbart50, new target": NEW_TARGET,
    "mbart, new source": NEW_SOURCE,
    "mbart, new target": NEW_TARGET,
}
"""Pairs with a language that was added to a parent of the family."""


def tokenizers_of_pairs(text: Text, tokenizers: Mapping[str, Tokenizer], folder: Path) -> dict[str, Tokenizers]:
    """The tokenizers of source and target, with their language tokens, of a pair of each family, new languages too."""
    found = {family: _Sides(vocabulary, tokenizers) for family, vocabulary in _vocabularies(text, folder).items()}
    pairs = dict.fromkeys(CODES, OWN) | NEW
    return {name: found[name.partition(",")[0]].of(pair) for name, pair in pairs.items()}


class _Sides:
    def __init__(self, vocabulary: ImportedVocabulary, tokenizers: Mapping[str, Tokenizer]) -> None:
        self.vocabulary, self.tokenizers = vocabulary, tokenizers
        sides = [
            ParentSide(tag, code, vocabulary.target.pieces[vocabulary.languages[code]])
            for tag, code in zip((OWN.source, OWN.target), CODES[vocabulary.family], strict=True)
            if code in vocabulary.languages
        ]
        is_marian = vocabulary.family == "marian"  # it names only the target, and never chooses the padding token
        self.languages = ParentLanguages((ParentSide("es", "spa"),) if is_marian else tuple(sides), tuple(sides))
        banned = (vocabulary.target.pad,) if is_marian else ()
        self.form = vocabulary.form(banned)

    def of(self, pair: Pair) -> Tokenizers:
        source, is_own = self.vocabulary.source, pair != NEW_SOURCE
        if not is_own:
            source = with_control_pieces(self.tokenizers[pair.source], self._tokens_of_new_sources())
        out_of = self.form.source_tokenizer(self.languages, pair, source, own=is_own)
        if pair == NEW_TARGET:
            return out_of, self.tokenizers[pair.target]
        return out_of, self.form.target_tokenizer(self.languages, pair, self.vocabulary.target)

    def _tokens_of_new_sources(self) -> list[str]:
        named = self.form.source_names_target
        return [side.token for side in self.languages.targets if side.token is not None] if named else []


def _vocabularies(text: Text, folder: Path) -> dict[str, ImportedVocabulary]:
    spanish, german = text["es"], text["de"]
    unigram, bpe = (sentencepiece_model(chain(spanish, german), 500, kind) for kind in ("unigram", "bpe"))
    models = sentencepiece_model(spanish, 400), sentencepiece_model(german, 400)
    joint = [*used_pieces(models[0], spanish[::2]), *used_pieces(models[1], german[::2])]
    write: dict[str, Callable[[Path], Path]] = {
        "marian": lambda path: write_marian(
            path, models, numbered("</s>", "<unk>", *joint, ">>deu<<", ">>fra<<", "<pad>")
        ),
        "m2m100": lambda path: write_shared("m2m100", path, bpe, chain(spanish, german)),
        "nllb": lambda path: write_shared("nllb", path, bpe, ()),
        "mbart50": lambda path: write_shared("mbart50", path, unigram, ()),
        "mbart": lambda path: write_shared("mbart", path, unigram, ()),
    }
    return {family: read_vocabulary(writer(folder / family)) for family, writer in write.items()}
