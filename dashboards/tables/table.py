"""A table of text, drawn for a terminal or as plain lines that can be searched and piped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

GAP = "  "
NOTHING = "-"


@dataclass(frozen=True)
class Column:
    """One column; ``number`` columns are right-aligned."""

    name: str
    number: bool = False

    @property
    def kind(self) -> str:
        """The CSS class in HTML: text may be wrapped anywhere, a number is never wrapped."""
        return "number" if self.number else "wide"


@dataclass(frozen=True)
class Table:
    """Columns and rows; each row has one text per column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def plain(table: Table) -> str:
    """Return one line of column names and one line per row; columns are at least two spaces apart, no line wraps."""
    lines = [[column.name for column in table.columns], *(list(row) for row in table.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    return "".join(GAP.join(_aligned(table, line, widths)).rstrip() + "\n" for line in lines)


def _aligned(table: Table, line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.rjust(width) if column.number else text.ljust(width)
        for column, text, width in zip(table.columns, line, widths, strict=True)
    ]


def for_terminal(table: Table) -> RichTable:
    """Return the table for Rich, which fits it to the terminal: long texts are folded, numbers are not."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        drawn.add_column(
            Text(column.name),
            justify="right" if column.number else "left",
            no_wrap=column.number,
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn
