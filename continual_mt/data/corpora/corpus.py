"""The interface of corpora, and the inspection that validates a corpus and computes its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from continual_mt.languages import Pair

NAMED_LINES = 3
"""How many line numbers of faulty pairs are reported."""


class SentencePair(NamedTuple):
    """An aligned pair of sentences; ``line`` is its line number, from 1. Both texts may be empty.

    ``fault`` is the reason if the line could not be read as a pair; both texts are then empty.
    """

    line: int
    source: str
    target: str
    fault: str = ""


class Corpus(Protocol):
    """Aligned sentences of one language pair."""

    @property
    def pair(self) -> Pair: ...

    @property
    def name(self) -> str: ...

    @property
    def licence(self) -> str | None: ...

    def read(self) -> Iterator[SentencePair]:
        """Stream the pairs in order, from the first one at each call. Raises CorpusError while streaming."""


@dataclass(frozen=True)
class CorpusSummary:
    """The results of ``inspect``.

    ``digest`` identifies the sentences and their order, independent of the file format: gzip, zstd, TSV and a pair of
    plain files with equal sentences have equal digests. ``empty`` is the number of pairs with an empty side, and
    ``first_empty`` the line numbers of the first three. ``faults`` are the line numbers of pairs that are empty because
    they could not be read. Words are separated by spaces.
    """

    digest: str
    sentences: int
    empty: int
    first_empty: tuple[int, ...]
    source_words: int
    target_words: int
    faults: tuple[int, ...] = ()


class ContentDigest:
    """SHA-256 of sentence pairs in order. Sentences contain no line breaks, so joining them with one is unambiguous."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, pair: SentencePair) -> None:
        self._hash.update(f"{pair.source}\n{pair.target}\n".encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def inspect(corpus: Corpus) -> CorpusSummary:
    """Read a whole corpus in constant memory and summarise it. Raises CorpusError, with file and line."""
    digest = ContentDigest()
    sentences = empty = source_words = target_words = 0
    first_empty: list[int] = []
    faults: list[int] = []
    for pair in corpus.read():
        digest.update(pair)
        sentences += 1
        in_source, in_target = len(pair.source.split()), len(pair.target.split())
        source_words += in_source
        target_words += in_target
        if pair.fault:
            faults.append(pair.line)
        if not in_source or not in_target:
            empty += 1
            if len(first_empty) < NAMED_LINES:
                first_empty.append(pair.line)
    return CorpusSummary(
        digest.hexdigest(), sentences, empty, tuple(first_empty), source_words, target_words, tuple(faults)
    )
