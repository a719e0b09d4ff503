"""Corpora of one tab-separated file with a column per language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair


@dataclass(frozen=True)
class TabSeparated:
    """Two columns of a tab-separated file, counted from 0; ``.gz`` and ``.zst`` files are decompressed.

    Quotation marks are ordinary characters. Raises CorpusError unless the columns are different and not negative.
    """

    pair: Pair
    path: Path
    source_column: int = 0
    target_column: int = 1
    licence: str | None = None

    def __post_init__(self) -> None:
        if min(self.source_column, self.target_column) < 0 or self.source_column == self.target_column:
            problem = (
                f"invalid columns {self.source_column} and {self.target_column}; expected two different numbers from 0"
            )
            raise CorpusError(self.path, problem)

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> Iterator[SentencePair]:
        """Stream the pairs. Raises CorpusError like ``read_lines``, and if a row has too few columns."""
        needed = max(self.source_column, self.target_column) + 1
        for line, row in enumerate(read_lines(self.path), start=1):
            columns = row.split("\t")
            if len(columns) < needed:
                problem = f"{len(columns)} tab-separated columns; expected at least {needed}"
                raise CorpusError(self.path, problem, line)
            yield SentencePair(line, columns[self.source_column], columns[self.target_column])
