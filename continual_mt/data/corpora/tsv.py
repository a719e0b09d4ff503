"""Corpora of one tab-separated file with a column per language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import CorpusError
from continual_mt.languages import Pair

LARGEST_SHARE = 0.01
"""Rows with another number of columns that are left out. Of web text far fewer have a tab within a sentence; more are
a file of another format, whose other rows cannot be trusted either."""
SAMPLED_ROWS = 1_000
"""Rows from the start that decide how many columns a file has."""
NAMED_ROWS = 10


@dataclass(frozen=True)
class TabSeparated:
    """Two columns of a tab-separated file, counted from 0; the file may be compressed.

    Quotation marks are ordinary characters. Raises CorpusError unless the columns are different and not negative.

    A row that has not as many columns as most rows is no pair: a tab within a sentence would move its columns. Blank
    rows, and further columns without text, do not count. ``ragged`` reads such rows as earlier versions did.
    """

    pair: Pair
    path: TextPlace
    source_column: int = 0
    target_column: int = 1
    licence: str | None = None
    ragged: bool = False

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
        """Stream the pairs; a row with another number of columns is an empty pair with a fault.

        Raises CorpusError like ``read_lines``, if most rows have too few columns, and, after the last pair, if more
        than LARGEST_SHARE of the rows have another number of columns.
        """
        rows = enumerate((line.split("\t") for line in read_lines(self.path)), start=1)
        sample = list(islice(rows, SAMPLED_ROWS))
        expected = None if self.ragged else self._usual_columns(sample)
        count, faults = 0, list[int]()
        for line, columns in chain(sample, rows):
            blank = not any(map(str.strip, columns))
            count += not blank
            if blank and expected is not None:
                yield SentencePair(line, "", "")
            elif expected is None or (len(columns) >= expected and not any(map(str.strip, columns[expected:]))):
                yield self._pair(line, columns)
            else:
                faults.append(line)
                yield SentencePair(line, "", "", f"{len(columns)} columns instead of {expected}")
        if expected is not None and len(faults) > LARGEST_SHARE * count:
            problem = (
                f"{len(faults):,} of {count:,} rows do not have {expected} columns as most rows have "
                f"({named_lines(faults)}); expected at most {LARGEST_SHARE:.0%}. Fix: remove tabs within sentences"
            )
            raise CorpusError(self.path, problem)

    def _usual_columns(self, sample: Sequence[tuple[int, list[str]]]) -> int:
        """The number of columns that most rows have. Raises CorpusError if it is too small."""
        rows = [(line, columns) for line, columns in sample if any(map(str.strip, columns))]
        if not rows:
            return 0
        usual = Counter(len(columns) for _, columns in rows).most_common(1)[0][0]
        if usual <= max(self.source_column, self.target_column):
            raise self._too_few(next(line for line, columns in rows if len(columns) == usual), usual)
        return usual

    def _pair(self, line: int, columns: Sequence[str]) -> SentencePair:
        if len(columns) <= max(self.source_column, self.target_column):
            raise self._too_few(line, len(columns))
        return SentencePair(line, columns[self.source_column], columns[self.target_column])

    def _too_few(self, line: int, columns: int) -> CorpusError:
        needed = max(self.source_column, self.target_column) + 1
        return CorpusError(self.path, f"{columns} tab-separated columns; expected at least {needed}", line)


def named_lines(lines: Sequence[int]) -> str:
    """Return the first line numbers as text: ``lines 3, 8 and 11`` or ``lines 1, 2, … and 53 more``."""
    *most, last = map(str, lines[:NAMED_ROWS])
    if len(lines) > NAMED_ROWS:
        return f"lines {', '.join([*most, last])} and {len(lines) - NAMED_ROWS:,} more"
    return f"lines {', '.join(most)} and {last}" if most else f"line {last}"
