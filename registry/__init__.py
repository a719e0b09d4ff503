"""What exists (parents, modules, recipes, scores, jobs) and where its bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from continual_mt.import_path import WithoutCurrentFolder

with WithoutCurrentFolder():
    from registry.records.alignments import AlignmentRecord, EmbeddingRecord
    from registry.records.annotations import (
        AliasMove,
        AliasRecord,
        Annotations,
        Deletion,
        Found,
        NoteRecord,
        SearchResult,
    )
    from registry.records.artifacts import ModuleRecord, ParentRecord
    from registry.records.corpora import CorpusRecord
    from registry.records.jobs import JobRecord
    from registry.records.lineage import Input, Lineage, Relation, Relations
    from registry.records.pairs import BestScore, PairEntry
    from registry.records.scores import ListedScore, ScoreRecord
    from registry.records.sequences import CellRecord, SequenceRecord

if TYPE_CHECKING:
    from registry.registry import Registry

__all__ = [
    "AliasMove",
    "AliasRecord",
    "AlignmentRecord",
    "Annotations",
    "BestScore",
    "CellRecord",
    "CorpusRecord",
    "Deletion",
    "EmbeddingRecord",
    "Found",
    "Input",
    "JobRecord",
    "Lineage",
    "ListedScore",
    "ModuleRecord",
    "NoteRecord",
    "PairEntry",
    "ParentRecord",
    "Registry",
    "Relation",
    "Relations",
    "ScoreRecord",
    "SearchResult",
    "SequenceRecord",
]


def __getattr__(name: str) -> object:
    # Imported when asked for: a worker reads blobs, and never the database, whose libraries take a second to import.
    if name != "Registry":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with WithoutCurrentFolder():
        from registry.registry import Registry

    return Registry
