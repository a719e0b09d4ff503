"""A parent or a module is an *artifact*: it has pieces (names of blobs), a size and a
lineage. ``parents`` and ``modules`` hold what only one of the two has, and share the artifact's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from continual_mt.artifacts.rests_on import Part
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.languages import NewSide, SideName
from continual_mt.model.scopes import Scope
from registry.database.base import DIGEST_LENGTH, Base
from registry.records.corpora import Role
from registry.records.lineage import InputRole
from registry.records.values import JSONObject


class Blob(Base):
    """Bytes that something refers to; they lie in the blob store under their SHA-256."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class Artifact(Base):
    """What parents and modules share. ``job`` and ``attempt`` together are registered at most once.

    ``precision`` is that of the stored weights. A ``deleted`` artifact is hidden and can be restored.
    """

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
    precision: Mapped[StoredPrecision] = mapped_column(default="float32", server_default="float32")
    job: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    attempt: Mapped[int]
    run: Mapped[str | None]
    code_version: Mapped[str]
    spec: Mapped[JSONObject]
    environment: Mapped[JSONObject | None] = mapped_column(JSON(none_as_null=True))
    replay: Mapped[float | None]
    created: Mapped[datetime]
    deleted: Mapped[datetime | None]
    deleted_by: Mapped[str | None]

    pieces: Mapped[list[Piece]] = relationship(order_by="Piece.name", lazy="selectin")
    uses: Mapped[list[CorpusUse]] = relationship(order_by="CorpusUse.position", lazy="selectin")
    inputs: Mapped[list[ArtifactInput]] = relationship(order_by="ArtifactInput.position", lazy="selectin")


class ArtifactInput(Base):
    """What an artifact was made from, in order: see `registry.records.lineage.Input`.

    Modules are stored by name, without a foreign key: the digest shows whether a name still means the same content.
    """

    __tablename__ = "artifact_inputs"
    __table_args__: tuple[SchemaItem, ...] = (
        CheckConstraint(
            "role IN ('start', 'replayed', 'rests-on', 'initialised-from', 'translated-by', 'quantised-from', "
            "'trained-through')",
            name="role",
        ),
        CheckConstraint("part IN ('source', 'cross_attention', 'target')", name="part"),
    )

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[InputRole]
    module: Mapped[str | None] = mapped_column(index=True)
    digest: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    recipe: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    part: Mapped[Part | None]


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
    fingerprint: Mapped[str] = mapped_column(String(DIGEST_LENGTH), unique=True)
    architecture: Mapped[JSONObject]
    denoising: Mapped[bool] = mapped_column(default=False, server_default=false())

    sides: Mapped[list[ParentSide]] = relationship(lazy="selectin", cascade="all, delete-orphan")


class ParentSide(Base):
    """A language on one end of a parent: see `continual_mt.artifacts.parent_languages.ParentSide`."""

    __tablename__ = "parent_sides"
    __table_args__: tuple[SchemaItem, ...] = (CheckConstraint("\"end\" IN ('source', 'target')", name="end"),)

    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), primary_key=True)
    end: Mapped[SideName] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    token: Mapped[str | None]


class Module(Artifact):
    """``shared`` modules belong to a sequence that shares one cross-attention, and are taken only where they are named.

    ``recipe_digest`` is that of the module's supervised recipe, by which its own scores are found.
    """

    __tablename__ = "modules"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("parent_id", "source", "target", "version"),
        CheckConstraint("side IN ('none', 'source', 'target', 'both')", name="side"),
        CheckConstraint("version >= 1", name="version"),
    )
    __mapper_args__: Mapping[str, str] = {"polymorphic_identity": "module"}

    id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
    source: Mapped[str]
    target: Mapped[str]
    version: Mapped[int]
    side: Mapped[NewSide]
    scope: Mapped[Scope]
    shared: Mapped[bool]
    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), index=True)
    recipe_digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), index=True)

    parent: Mapped[Parent] = relationship(foreign_keys=parent_id, lazy="joined", innerjoin=True)


class VersionCounter(Base):
    """The last version given out for a pair: a number is never used twice, even if its module is deleted."""

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
    """An artifact was trained on, or chosen or tested by, a corpus; or its new side was made with its help."""

    __tablename__ = "corpus_uses"
    __table_args__: tuple[SchemaItem, ...] = (
        CheckConstraint("role IN ('train', 'dev', 'test', 'monolingual', 'lexicon', 'initialisation')", name="role"),
    )

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpora.id"), index=True)
    role: Mapped[Role]

    corpus: Mapped[Corpus] = relationship(lazy="joined", innerjoin=True)
