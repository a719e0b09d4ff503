"""A table of text, and the two ways to draw one: for a terminal, and as plain lines that can be searched and piped."""

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
    """``number`` columns stand to the right."""

    name: str
    number: bool = False

    @property
    def kind(self) -> str:
        """What styles of HTML call such a column: text is wrapped anywhere, a number never."""
        return "number" if self.number else "wide"


@dataclass(frozen=True)
class Table:
    """Every row has one text a column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def plain(table: Table) -> str:
    """A line of names and a line a row, in columns at least two spaces apart; never wrapped."""
    lines = [[column.name for column in table.columns], *(list(row) for row in table.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    return "".join(GAP.join(_aligned(table, line, widths)).rstrip() + "\n" for line in lines)


def _aligned(table: Table, line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.rjust(width) if column.number else text.ljust(width)
        for column, text, width in zip(table.columns, line, widths, strict=True)
    ]


def for_terminal(table: Table) -> RichTable:
    """The same for Rich, which fits it to the terminal's width: long texts are folded, numbers never."""
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
