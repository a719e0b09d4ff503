"""Measurements: scores, the scores of every pair along a sequence, and alignments of embeddings."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import SideName
from registry.database.base import DIGEST_LENGTH, Base
from registry.database.schema.artifacts import Parent
from registry.records.sequences import SequenceMode, View
from registry.records.values import JSONObject

_BLEU = text("metric = 'bleu'")


class Recipe(Base):
    """A recipe that was run or scored, so that the same model can be assembled by its digest.

    Modules are stored by name, without a foreign key: a recipe's row outlives them. A pivot has two legs, which are
    rows, and no modules; its parent is that of the first leg.
    """

    __tablename__ = "recipes"

    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), index=True)
    kind: Mapped[RecipeKind]
    source: Mapped[str]
    target: Mapped[str]
    source_module: Mapped[str | None]
    cross_attention_module: Mapped[str | None]
    target_module: Mapped[str | None]
    first_leg: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH), ForeignKey("recipes.digest"), index=True)
    second_leg: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH), ForeignKey("recipes.digest"), index=True)

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)
    first: Mapped[Recipe | None] = relationship(foreign_keys=first_leg, remote_side=digest)
    second: Mapped[Recipe | None] = relationship(foreign_keys=second_leg, remote_side=digest)


class Score(Base):
    """Recipe × test set × metric. Modules are stored by name, without a foreign key: a score outlives them.

    The parts of a pivot are in its legs, the rows that ``recipe`` refers to.

    Of a recipe's BLEU scores one is ``shown``: the one on the most sentences, and of those the highest.
    """

    __tablename__ = "scores"
    __table_args__: tuple[SchemaItem, ...] = (
        UniqueConstraint("recipe_digest", "test_digest", "metric", "signature", "beam"),
        # A search for those above some BLEU must not look at the other metrics' scores.
        Index(
            "ix_scores_bleu", "recipe_digest", "sentences", "value", "test", sqlite_where=_BLEU, postgresql_where=_BLEU
        ),
        # With all that a pair is listed with, and ``shown`` itself, without which SQLite would read the rows, too.
        Index(
            "ix_scores_shown",
            *("recipe_digest", "value", "copy_value", "test", "test_digest", "signature", "sentences", "beam", "shown"),
            sqlite_where=text("shown = 1"),
            postgresql_where=text("shown"),
        ),
        Index(None, "source", "target"),
        # For what was scored on a named test set, by pair and kind.
        Index(
            "ix_scores_of_test",
            *("test", "source", "target", "kind", "parent_id"),
            sqlite_where=_BLEU,
            postgresql_where=_BLEU,
        ),
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
    shown: Mapped[bool] = mapped_column(default=False, server_default=false())
    logits: Mapped[str | None] = mapped_column(String(DIGEST_LENGTH))
    computed_on: Mapped[str | None]
    reference_value: Mapped[float | None]

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)
    recipe: Mapped[Recipe] = relationship(primaryjoin=foreign(recipe_digest) == Recipe.digest, viewonly=True)


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
    """The score of a pair after the first ``position`` additions of a sequence, in one view."""

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
    carried: Mapped[bool] = mapped_column(default=False, server_default=false())

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
