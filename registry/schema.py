"""The tables. Rows never leave this package: callers see the frozen records of `registry.entities`.

What a job leaves behind, be it a parent or a module, is an *artifact*: it has pieces (names of blobs), a size and a
lineage. ``parents`` and ``modules`` hold what only one of the two has, and share the artifact's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from continual_mt.architecture import Scope
from continual_mt.languages import SideName
from continual_mt.recipe import RecipeKind
from registry.base import Base
from registry.entities import JobState, JSONObject, Role
from registry.sequences import SequenceMode, View

DIGEST_LENGTH = 64
BLOBS_SETTING = "blobs"


class Setting(Base):
    """What belongs to the registry as a whole: ``BLOBS_SETTING`` says where the blobs are."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Blob(Base):
    """Bytes that something refers to; they lie in the blob store under their SHA-256."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class Artifact(Base):
    """What parents and modules share. ``job`` and ``attempt`` together are registered at most once."""

    __tablename__ = "artifacts"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("job", "attempt"),
        CheckConstraint("kind IN ('parent', 'module')", name="kind"),
    )
    __mapper_args__: Mapping[str, str] = {"polymorphic_on": "kind"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    parameters: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    job: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    attempt: Mapped[int]
    run: Mapped[str | None]
    code_version: Mapped[str]
    spec: Mapped[JSONObject]
    created: Mapped[datetime]

    pieces: Mapped[list[Piece]] = relationship(order_by="Piece.name", lazy="selectin")
    uses: Mapped[list[CorpusUse]] = relationship(order_by="CorpusUse.position", lazy="selectin")


class Piece(Base):
    """One file of an artifact, by name."""

    __tablename__ = "pieces"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), index=True)


class Parent(Artifact):
    __tablename__ = "parents"
    __mapper_args__: Mapping[str, str] = {"polymorphic_identity": "parent"}

    id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    target: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(DIGEST_LENGTH), unique=True)
    architecture: Mapped[JSONObject]


class Module(Artifact):
    __tablename__ = "modules"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("parent_id", "source", "target", "version"),
        CheckConstraint("side IN ('source', 'target')", name="side"),
        CheckConstraint("version >= 1", name="version"),
    )
    __mapper_args__: Mapping[str, str] = {"polymorphic_identity": "module"}

    id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
    source: Mapped[str]
    target: Mapped[str]
    version: Mapped[int]
    side: Mapped[SideName]
    scope: Mapped[Scope]
    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), index=True)

    parent: Mapped[Parent] = relationship(foreign_keys=parent_id, lazy="joined", innerjoin=True)


class VersionCounter(Base):
    """The last version given out for a pair: numbers are never used twice, whatever becomes of the module."""

    __tablename__ = "version_counters"

    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class Corpus(Base):
    """``sources`` and ``references`` are blobs with the text of a test set; other corpora are not kept."""

    __tablename__ = "corpora"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), unique=True)
    source: Mapped[str]
    target: Mapped[str]
    name: Mapped[str]
    sentences: Mapped[int] = mapped_column(BigInteger)
    skipped: Mapped[int] = mapped_column(BigInteger)
    licence: Mapped[str]
    sources: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    references: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))


class CorpusUse(Base):
    """An artifact was trained on, or chosen or tested by, a corpus."""

    __tablename__ = "corpus_uses"
    __table_args__: tuple[SchemaItem, ...] = (CheckConstraint("role IN ('train', 'dev', 'test')", name="role"),)

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    role: Mapped[Role]

    corpus: Mapped[Corpus] = relationship(lazy="joined", innerjoin=True)


class Score(Base):
    """Recipe × test set × metric. Modules are named and not referred to: a score outlives them."""

    __tablename__ = "scores"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("recipe_digest", "test_digest", "metric", "signature", "beam"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), index=True)
    kind: Mapped[RecipeKind]
    source: Mapped[str]
    target: Mapped[str]
    recipe_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    source_module: Mapped[str | None]
    cross_attention_module: Mapped[str | None]
    target_module: Mapped[str | None]
    test: Mapped[str]
    test_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    metric: Mapped[str]
    value: Mapped[float]
    copy_value: Mapped[float | None]
    signature: Mapped[str]
    sentences: Mapped[int] = mapped_column(BigInteger)
    beam: Mapped[int]
    created: Mapped[datetime]
    hypotheses: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)


class Sequence(Base):
    """Additions to a parent, in order; ``digest`` is that of the job that makes them."""

    __tablename__ = "sequences"
    __table_args__: tuple[SchemaItem, ...] = (CheckConstraint("mode IN ('separate', 'shared')", name="mode"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), unique=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), index=True)
    name: Mapped[str]
    mode: Mapped[SequenceMode]
    additions: Mapped[list[str]]
    created: Mapped[datetime]

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)


class Cell(Base):
    """What a pair scored behind a sequence's first ``position`` additions, in one of the views of it."""

    __tablename__ = "cells"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint(
            "sequence_id",
            "position",
            "view",
            "source",
            "target",
            "test_digest",
            "metric",
            "beam",
            name="uq_cells_place",
        ),
        CheckConstraint("view IN ('routed', 'through', 'shared')", name="view"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sequence_id: Mapped[int] = mapped_column(ForeignKey("sequences.id"))
    position: Mapped[int]
    view: Mapped[View]
    kind: Mapped[RecipeKind]
    source: Mapped[str]
    target: Mapped[str]
    recipe_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    module: Mapped[str | None]
    test: Mapped[str]
    test_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    metric: Mapped[str]
    value: Mapped[float]
    beam: Mapped[int]

    sequence: Mapped[Sequence] = relationship(lazy="joined", innerjoin=True)


class Alignment(Base):
    """How well two embedding tables align. A module is named and not referred to; the parent's own table has none."""

    __tablename__ = "alignments"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint(
            "parent_id",
            "first_language",
            "first_digest",
            "second_language",
            "second_digest",
            "lexicon_digest",
            name="uq_alignments_measured",
        ),
        CheckConstraint("side IN ('source', 'target')", name="side"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
    side: Mapped[SideName]
    first_language: Mapped[str]
    first_module: Mapped[str | None]
    first_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    second_language: Mapped[str]
    second_module: Mapped[str | None]
    second_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH))
    lexicon: Mapped[str]
    lexicon_digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    entries: Mapped[int]
    results: Mapped[list[JSONObject]]
    created: Mapped[datetime]

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)


class Job(Base):
    """A job and the lease on it: ``holder`` may work on it until ``expires``."""

    __tablename__ = "jobs"
    __table_args__: tuple[SchemaItem, ...] = (
        CheckConstraint("state IN ('running', 'finished', 'failed', 'stopped')", name="state"),
    )

    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    kind: Mapped[str]
    state: Mapped[JobState]
    attempt: Mapped[int]
    holder: Mapped[str | None]
    expires: Mapped[datetime | None]
    run: Mapped[str | None]
    created: Mapped[datetime]
    updated: Mapped[datetime]
