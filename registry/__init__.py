"""What exists (parents, modules, recipes, scores, jobs) and where its bytes are."""

from registry.alignments import AlignmentRecord, EmbeddingRecord
from registry.entities import CorpusRecord, JobRecord, Lineage, ModuleRecord, PairEntry, ParentRecord, ScoreRecord
from registry.registry import Registry
from registry.sequences import CellRecord, SequenceRecord

__all__ = [
    "AlignmentRecord",
    "CellRecord",
    "CorpusRecord",
    "EmbeddingRecord",
    "JobRecord",
    "Lineage",
    "ModuleRecord",
    "PairEntry",
    "ParentRecord",
    "Registry",
    "ScoreRecord",
    "SequenceRecord",
]
