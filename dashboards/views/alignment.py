"""Embedding tables for the page and the report: stored alignments, maps of two tables, neighbours of a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from continual_mt.errors import CorpusError, InputError
from continual_mt.evaluation.alignment_result import METHODS, Precision, Unit
from continual_mt.evaluation.embedding_map import JointMap, frequent_map, joint_map
from continual_mt.evaluation.nearest_neighbours import Neighbour, Neighbourhood
from dashboards.tables.artifacts import METHOD_NAMES, UNIT_NAMES, percent, short_name
from dashboards.tables.table import NOTHING, Column, Table
from registry import AlignmentRecord, EmbeddingRecord, Registry

MAX_WORD_CHARACTERS = 100
MAX_CACHED_PAIRS = 4
NOTHING_KEPT = (
    "No alignment is stored yet; 'continual-mt align FIRST SECOND --lexicon FILE --keep' measures and stores one."
)
EXPLAINED = (
    "Each word of the first table is looked up in the second table. @1 (precision@1) is the share of words whose "
    "nearest neighbour is a translation in the lexicon; @5 is the share with a translation among the five nearest."
)
_FREQUENT_PIECES = "The most frequent pieces that can be words, without translations"
_UNITS: tuple[Unit, ...] = ("piece", "word")


def name_of(record: EmbeddingRecord) -> str:
    """Return the language and its origin: ``de (de-en:1)``, ``fr (parent)``."""
    return f"{record.language} ({short_name(record.module) if record.module else 'parent'})"


def alignments_table(records: Sequence[AlignmentRecord]) -> Table:
    """Show two rows per alignment: words of one piece, and words of any length."""
    columns = [Column(name) for name in ("side", "first", "second", "lexicon")]
    columns += [Column("entries", True), Column("words of"), Column("queries", True), Column("candidates", True)]
    columns += [Column(f"{METHOD_NAMES[method]} @{rank}", True) for method in METHODS for rank in (1, 5)]
    return Table(columns, [_row(record, unit) for record in records for unit in _UNITS])


def _row(record: AlignmentRecord, unit: Unit) -> tuple[str, ...]:
    found = {result.method: result for result in record.results if result.unit == unit}
    counts = next(((f"{one.queries:,}", f"{one.candidates:,}") for one in found.values()), (NOTHING, NOTHING))
    about = (record.first.side, name_of(record.first), name_of(record.second), record.lexicon, f"{record.entries:,}")
    shares = (share for method in METHODS for share in _shares(found.get(method)))
    return (*about, UNIT_NAMES[unit].removeprefix("words of "), *counts, *shares)


def _shares(found: Precision | None) -> list[str]:
    return [
        NOTHING if share is None else percent(share)
        for share in ((None, None) if found is None else (found.at_1, found.at_5))
    ]


@dataclass(frozen=True)
class ShownMap:
    """A map with its title and a note that explains what it shows."""

    title: str
    note: str
    drawn: JointMap


def map_of(registry: Registry, first: EmbeddingRecord, second: EmbeddingRecord) -> ShownMap:
    """Return the map of the last stored alignment of two tables; without one, of the most frequent pieces of each."""
    kept = [
        record
        for record in registry.catalog.alignments(first.parent)
        if (record.first, record.second) == (first, second)
    ]
    if kept:
        return kept_map(registry, max(kept, key=lambda record: record.created))
    drawn = frequent_map(registry.load_embedding(first), registry.load_embedding(second))
    return ShownMap(_title(first, second), f"{_FREQUENT_PIECES}: no alignment of these tables is stored.", drawn)


def kept_map(registry: Registry, kept: AlignmentRecord) -> ShownMap:
    """Return the map of a stored alignment.

    It shows words of its lexicon, or the most frequent pieces if no entry of the lexicon is one piece in both tables.
    """
    title = _title(kept.first, kept.second)
    both = registry.load_embedding(kept.first), registry.load_embedding(kept.second)
    lexicon = registry.texts.load_lexicon(kept)
    try:
        drawn = joint_map(*both, lexicon)
    except CorpusError:
        return ShownMap(
            title, f"{_FREQUENT_PIECES}: no entry of {kept.lexicon} is one piece in both tables.", frequent_map(*both)
        )
    return ShownMap(title, f"Frequent words of {kept.lexicon}; lines connect translations.", drawn)


def _title(first: EmbeddingRecord, second: EmbeddingRecord) -> str:
    return f"{name_of(first)} and {name_of(second)}, {first.side} side"


class Neighbourhoods:
    """Looks up words and caches the last MAX_CACHED_PAIRS pairs of tables: the first look-up in a pair is slow."""

    def __init__(self) -> None:
        self._cached: dict[tuple[EmbeddingRecord, EmbeddingRecord], Neighbourhood] = {}

    def nearest(
        self, registry: Registry, first: EmbeddingRecord, second: EmbeddingRecord, word: str
    ) -> list[Neighbour]:
        """Return the nearest pieces of the second table for a word of the first, nearest first.

        Raises InputError for a word that is too long or that the pieces of the first table cannot spell.
        """
        if len(word) > MAX_WORD_CHARACTERS:
            raise InputError(f"word: {len(word):,} characters; expected at most {MAX_WORD_CHARACTERS:,}")
        # Removed and inserted again, so that the least recently used pair comes first and is evicted first.
        found = self._cached.pop((first, second), None)
        if found is None:
            found = Neighbourhood.of(registry.load_embedding(first), registry.load_embedding(second))
        self._cached[first, second] = found
        for oldest in list(self._cached)[:-MAX_CACHED_PAIRS]:
            self._cached.pop(oldest, None)
        return found.nearest(word)


def neighbours_table(found: Sequence[Neighbour]) -> Table:
    """Show pieces with their rank and cosine similarity, nearest first."""
    rows = [(f"{rank}", one.piece, f"{one.cosine:.2f}") for rank, one in enumerate(found, start=1)]
    return Table([Column("rank", True), Column("piece"), Column("cosine", True)], rows)
