"""Embedding tables for the page and the report: what was kept, the map of two of them, and the neighbours of a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from continual_mt.errors import CorpusError, InputError
from continual_mt.evaluation.alignment_result import METHODS, Precision, Unit
from continual_mt.evaluation.embedding_map import JointMap, frequent_map, joint_map
from continual_mt.evaluation.nearest_neighbours import Neighbour, Neighbourhood
from dashboards.tables import artifacts as tables
from dashboards.tables.table import NOTHING, Column, Table
from registry import AlignmentRecord, EmbeddingRecord, Registry

CHARACTERS = 100
TABLES_KEPT = 4
NOTHING_KEPT = "No alignment was kept yet; 'continual-mt align FIRST SECOND --lexicon FILE --keep' keeps one."
EXPLAINED = (
    "Words of the first table are looked up in the second. @1 and @5 are precision: the share whose nearest neighbour, "
    "or one of whose five nearest, is a translation that the lexicon knows."
)
_FREQUENT = "The most frequent pieces that can be words; nothing says what translates what"
_UNITS: tuple[Unit, ...] = ("piece", "word")


def name_of(record: EmbeddingRecord) -> str:
    """``de (de-en:1)``; ``fr (parent)``."""
    return f"{record.language} ({tables.short_name(record.module) if record.module else 'parent'})"


def alignments_table(records: Sequence[AlignmentRecord]) -> Table:
    """Two rows an alignment: words of one piece, and words of any length."""
    columns = [Column(name) for name in ("side", "first", "second", "lexicon")]
    columns += [Column("entries", True), Column("words of"), Column("queries", True), Column("candidates", True)]
    columns += [Column(f"{tables.METHODS[method]} @{rank}", True) for method in METHODS for rank in (1, 5)]
    return Table(columns, [_row(record, unit) for record in records for unit in _UNITS])


def _row(record: AlignmentRecord, unit: Unit) -> tuple[str, ...]:
    found = {result.method: result for result in record.results if result.unit == unit}
    counts = next(((f"{one.queries:,}", f"{one.candidates:,}") for one in found.values()), (NOTHING, NOTHING))
    about = (record.first.side, name_of(record.first), name_of(record.second), record.lexicon, f"{record.entries:,}")
    shares = (share for method in METHODS for share in _shares(found.get(method)))
    return (*about, tables.LOOKED_UP[unit].removeprefix("words of "), *counts, *shares)


def _shares(found: Precision | None) -> list[str]:
    return [
        NOTHING if share is None else tables.percent(share)
        for share in ((None, None) if found is None else (found.at_1, found.at_5))
    ]


@dataclass(frozen=True)
class ShownMap:
    """A map, and in words what is on it."""

    title: str
    note: str
    drawn: JointMap


def map_of(registry: Registry, first: EmbeddingRecord, second: EmbeddingRecord) -> ShownMap:
    """The map of two tables: of what was kept of them last, else of the most frequent pieces of each."""
    kept = [
        record
        for record in registry.catalog.alignments(first.parent)
        if (record.first, record.second) == (first, second)
    ]
    if kept:
        return kept_map(registry, max(kept, key=lambda record: record.created))
    drawn = frequent_map(registry.load_embedding(first), registry.load_embedding(second))
    return ShownMap(_title(first, second), f"{_FREQUENT}, since no alignment of these tables was kept.", drawn)


def kept_map(registry: Registry, kept: AlignmentRecord) -> ShownMap:
    """The map of what was kept: words of its lexicon, unless none of them is one piece."""
    title = _title(kept.first, kept.second)
    both = registry.load_embedding(kept.first), registry.load_embedding(kept.second)
    lexicon = registry.texts.load_lexicon(kept)
    try:
        drawn = joint_map(*both, lexicon)
    except CorpusError:
        return ShownMap(
            title, f"{_FREQUENT}, since no entry of {kept.lexicon} is one piece in both.", frequent_map(*both)
        )
    return ShownMap(title, f"Frequent words of {kept.lexicon}, each joined to its translations.", drawn)


def _title(first: EmbeddingRecord, second: EmbeddingRecord) -> str:
    return f"{name_of(first)} and {name_of(second)}, {first.side} side"


class Neighbourhoods:
    """Looks words up, and keeps the last TABLES_KEPT pairs of tables, since the first word of a pair takes long."""

    def __init__(self) -> None:
        self._kept: dict[tuple[EmbeddingRecord, EmbeddingRecord], Neighbourhood] = {}

    def nearest(
        self, registry: Registry, first: EmbeddingRecord, second: EmbeddingRecord, word: str
    ) -> list[Neighbour]:
        """Raises InputError for a word that is too long, or that the first table's vocabulary cannot write."""
        if len(word) > CHARACTERS:
            raise InputError(f"the word has {len(word):,} characters; the page looks up to {CHARACTERS:,} up")
        # Taken out and put back, so that the pair that was asked for longest ago is the first to go.
        found = self._kept.pop((first, second), None)
        if found is None:
            found = Neighbourhood.of(registry.load_embedding(first), registry.load_embedding(second))
        self._kept[first, second] = found
        for oldest in list(self._kept)[:-TABLES_KEPT]:
            self._kept.pop(oldest, None)
        return found.nearest(word)


def neighbours_table(found: Sequence[Neighbour]) -> Table:
    """Nearest first."""
    rows = [(f"{rank}", one.piece, f"{one.cosine:.2f}") for rank, one in enumerate(found, start=1)]
    return Table([Column("rank", True), Column("piece"), Column("cosine", True)], rows)
