"""The tokenizers of one end of a parent: one that its languages share, or one for each language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from continual_mt.artifacts.stored.serialization import StoredPiece, parameter_shapes, require_piece
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import SideName
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.language_sides import part_of, stored_names, without_language

Vocabulary: TypeAlias = Tokenizer | Mapping[str, Tokenizer]
"""A tokenizer that all languages share, or one for each language, by tag."""


def is_shared(vocabulary: Vocabulary) -> bool:
    """Tell whether all languages share the vocabulary."""
    return isinstance(vocabulary, Tokenizer)


def tokenizer_of(vocabulary: Vocabulary, language: str) -> Tokenizer | None:
    """Return the tokenizer of a language; None if the vocabulary has none for it."""
    return vocabulary if isinstance(vocabulary, Tokenizer) else vocabulary.get(language)


def named_tokenizers(end: SideName, vocabulary: Vocabulary) -> dict[str, Tokenizer]:
    """Return the tokenizers by the names that they are stored under: ``source``, or ``source.es`` and ``source.pt``."""
    if isinstance(vocabulary, Tokenizer):
        return {end: vocabulary}
    return {f"{end}.{language}": vocabulary[language] for language in sorted(vocabulary)}


def read_vocabularies(
    pieces: Mapping[str, StoredPiece], languages: Mapping[SideName, Iterable[str]] | None
) -> tuple[Vocabulary, Vocabulary]:
    """Read the vocabularies of source and target; with ``languages`` each has its own, else an end shares one.

    Equal models are read once. Raises CorruptionError if a piece is missing or damaged.
    """
    known: dict[bytes, Tokenizer] = {}

    def read(name: str) -> Tokenizer:
        model = require_piece(pieces, f"{name}.model")
        return known.setdefault(model, known.get(model) or Tokenizer(model))

    if languages is None:
        return read("source"), read("target")
    source, target = ({tag: read(f"{end}.{tag}") for tag in languages[end]} for end in languages)
    return source, target


def tensor_shapes(architecture: Architecture, source: Vocabulary, target: Vocabulary) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a parent with these vocabularies, by name, in a fixed order."""
    if isinstance(source, Tokenizer) and isinstance(target, Tokenizer):
        shapes = parameter_shapes(architecture, {"source": source.size, "target": target.size})
        return {name: shapes[name] for name in parameter_names(architecture)}
    assert not isinstance(source, Tokenizer)
    assert not isinstance(target, Tokenizer)
    tables = {**named_tokenizers("source", source), **named_tokenizers("target", target)}
    of_sides = {
        part: parameter_shapes(architecture, {"source": t.size, "target": t.size}) for part, t in tables.items()
    }
    body = parameter_shapes(architecture, {"source": 0, "target": 0})
    return {
        name: of_sides.get(part_of(name), body)[without_language(name)]
        for name in stored_names(architecture, source, target)
    }
