"""One file with a column a language."""

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
    """Columns divided by tabs and counted from 0; plain, ``.gz`` or ``.zst`` by suffix. Quotes have no meaning."""

    pair: Pair
    path: Path
    source_column: int = 0
    target_column: int = 1
    licence: str | None = None

    def __post_init__(self) -> None:
        if min(self.source_column, self.target_column) < 0 or self.source_column == self.target_column:
            problem = f"columns {self.source_column} and {self.target_column} must be two different ones, from 0 on"
            raise CorpusError(self.path, problem)

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> Iterator[SentencePair]:
        """Raises CorpusError, besides what reading raises, with the line of a row that has not got both columns."""
        needed = max(self.source_column, self.target_column) + 1
        for line, row in enumerate(read_lines(self.path), start=1):
            columns = row.split("\t")
            if len(columns) < needed:
                raise CorpusError(self.path, f"has {len(columns)} tab-separated columns, {needed} are needed", line)
            yield SentencePair(line, columns[self.source_column], columns[self.target_column])
