"""Corpora of two text files that are aligned line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair


@dataclass(frozen=True)
class TextFiles:
    """A source and a target file with one sentence per line, plain or compressed."""

    pair: Pair
    source_path: TextPlace
    target_path: TextPlace
    licence: str | None = None

    @property
    def name(self) -> str:
        return f"{self.source_path.name} + {self.target_path.name}"

    def read(self) -> Iterator[SentencePair]:
        """Stream the pairs. Raises CorpusError like ``read_lines``, and if the numbers of lines differ."""
        sources, targets = read_lines(self.source_path), read_lines(self.target_path)
        for line, (source, target) in enumerate(zip_longest(sources, targets), start=1):
            if source is None:
                raise self._misaligned(line - 1, line + _count(targets))
            if target is None:
                raise self._misaligned(line + _count(sources), line - 1)
            yield SentencePair(line, source, target)

    def _misaligned(self, in_source: int, in_target: int) -> CorpusError:
        problem = f"{in_source:,} lines, but {self.target_path} has {in_target:,}; expected equally many"
        return CorpusError(self.source_path, problem)


def _count(lines: Iterator[str]) -> int:
    return sum(1 for _ in lines)
