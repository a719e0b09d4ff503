"""The tables. Rows never leave the registry: callers see the frozen records of `registry.records`."""

from registry.database.base import Base
from registry.database.schema.artifacts import (
    Artifact,
    ArtifactInput,
    Blob,
    Corpus,
    CorpusUse,
    Module,
    Parent,
    ParentSide,
    Piece,
    VersionCounter,
)
from registry.database.schema.curation import Alias, AliasMove, Note, Tag
from registry.database.schema.measures import Alignment, Cell, Recipe, Score, Sequence
from registry.database.schema.registry import BLOBS_SETTING, IDENTITY_SETTING, Job, Setting

__all__ = [
    "BLOBS_SETTING",
    "IDENTITY_SETTING",
    "Alias",
    "AliasMove",
    "Alignment",
    "Artifact",
    "ArtifactInput",
    "Base",
    "Blob",
    "Cell",
    "Corpus",
    "CorpusUse",
    "Job",
    "Module",
    "Note",
    "Parent",
    "ParentSide",
    "Piece",
    "Recipe",
    "Score",
    "Sequence",
    "Setting",
    "Tag",
    "VersionCounter",
]
