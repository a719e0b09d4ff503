"""The interface of every corpus, and the one pass that validates and identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from continual_mt.languages import Pair

NAMED_LINES = 3


class SentencePair(NamedTuple):
    """One aligned pair as it stands in the corpus; ``line`` counts from 1, either text may be empty."""

    line: int
    source: str
    target: str


class Corpus(Protocol):
    """Aligned sentences of one pair."""

    @property
    def pair(self) -> Pair: ...

    @property
    def name(self) -> str: ...

    @property
    def licence(self) -> str | None: ...

    def read(self) -> Iterator[SentencePair]:
        """Stream the pairs in order, anew on each call. Raises CorpusError, while streaming, at what cannot be read."""


@dataclass(frozen=True)
class CorpusSummary:
    """What one pass over a corpus found.

    ``digest`` identifies the text and its order, not its packing: the same sentences as gzip, zstd, TSV or two files
    have the same one. ``empty`` counts pairs with an empty side, ``first_empty`` are the line numbers of the first
    three. Words are counted between spaces.
    """

    digest: str
    sentences: int
    empty: int
    first_empty: tuple[int, ...]
    source_words: int
    target_words: int


class ContentDigest:
    """SHA-256 over sentence pairs in order; sentences hold no line break, so joining by one is unambiguous."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, pair: SentencePair) -> None:
        self._hash.update(f"{pair.source}\n{pair.target}\n".encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def inspect(corpus: Corpus) -> CorpusSummary:
    """Read all of a corpus in constant memory. Raises CorpusError for whatever is wrong with it, with file and line."""
    digest = ContentDigest()
    sentences = empty = source_words = target_words = 0
    first_empty: list[int] = []
    for pair in corpus.read():
        digest.update(pair)
        sentences += 1
        in_source, in_target = len(pair.source.split()), len(pair.target.split())
        source_words += in_source
        target_words += in_target
        if not in_source or not in_target:
            empty += 1
            if len(first_empty) < NAMED_LINES:
                first_empty.append(pair.line)
    return CorpusSummary(digest.hexdigest(), sentences, empty, tuple(first_empty), source_words, target_words)
