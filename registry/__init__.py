"""What exists (parents, modules, recipes, scores, jobs) and where its bytes are."""

from registry.alignments import AlignmentRecord, EmbeddingRecord
from registry.entities import CorpusRecord, JobRecord, Lineage, ModuleRecord, ParentRecord, ScoreRecord
from registry.pairs import BestScore, PairEntry
from registry.registry import Registry
from registry.relations import Relation, Relations
from registry.remarks import AliasMove, AliasRecord, Deletion, Found, NoteRecord, Remarks, SearchResult
from registry.sequences import CellRecord, SequenceRecord

__all__ = [
    "AliasMove",
    "AliasRecord",
    "AlignmentRecord",
    "BestScore",
    "CellRecord",
    "CorpusRecord",
    "Deletion",
    "EmbeddingRecord",
    "Found",
    "JobRecord",
    "Lineage",
    "ModuleRecord",
    "NoteRecord",
    "PairEntry",
    "ParentRecord",
    "Registry",
    "Relation",
    "Relations",
    "Remarks",
    "ScoreRecord",
    "SearchResult",
    "SequenceRecord",
]
