"""What exists (parents, modules, recipes, scores, jobs) and where its bytes are."""

from registry.entities import (
    CellRecord,
    CorpusRecord,
    JobRecord,
    Lineage,
    ModuleRecord,
    PairEntry,
    ParentRecord,
    ScoreRecord,
    SequenceRecord,
)
from registry.registry import Registry

__all__ = [
    "CellRecord",
    "CorpusRecord",
    "JobRecord",
    "Lineage",
    "ModuleRecord",
    "PairEntry",
    "ParentRecord",
    "Registry",
    "ScoreRecord",
    "SequenceRecord",
]
