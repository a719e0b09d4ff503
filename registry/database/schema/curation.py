"""Annotations of parents and modules: aliases with their history, tags and notes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.schema import SchemaItem

from registry.database.base import Base
from registry.database.schema.artifacts import Module, Parent


class Alias(Base):
    """A name for one version of a pair, such as ``de-en@champion``."""

    __tablename__ = "aliases"

    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    module_id: Mapped[int] = mapped_column(ForeignKey("modules.id"), index=True)

    module: Mapped[Module] = relationship(lazy="joined", innerjoin=True)


class AliasMove(Base):
    """An alias was set (``from_version`` is None), moved, or removed (``to_version`` is None)."""

    __tablename__ = "alias_moves"
    __table_args__: tuple[SchemaItem, ...] = (Index(None, "parent_id", "source", "target", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
    source: Mapped[str]
    target: Mapped[str]
    name: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int | None]
    who: Mapped[str]
    moment: Mapped[datetime]

    parent: Mapped[Parent] = relationship(lazy="joined", innerjoin=True)


class Tag(Base):
    """A word by which an artifact can be searched."""

    __tablename__ = "tags"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True, index=True)


class Note(Base):
    """A user's note about an artifact. Notes are added and never changed."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifacts.id"), index=True)
    text: Mapped[str]
    who: Mapped[str]
    moment: Mapped[datetime]
