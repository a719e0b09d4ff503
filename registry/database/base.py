"""The base of every table: naming of constraints, column types, and moments in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import JSON, DateTime, Dialect, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.artifacts.rests_on import Part
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.errors import InputError
from continual_mt.languages import NewSide, SideName
from registry.records.corpora import Role
from registry.records.jobs import JobState
from registry.records.lineage import InputRole
from registry.records.sequences import SequenceMode, View
from registry.records.values import JSONObject

DIGEST_LENGTH = 64


class UTCDateTime(TypeDecorator[datetime]):
    """Moments in UTC. SQLite stores no time zone, so it is removed when written and added when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # A server's UTC needs no conversion, which would take longer.
        return value.astimezone(UTC) if value.utcoffset() else value.replace(tzinfo=UTC)


class PlainText(TypeDecorator[str]):
    """Text that every database can store. Raises InputError for NUL and for invalid Unicode."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and ("\0" in value or not _is_unicode(value)):
            raise InputError(f"{value[:80]!a} holds a NUL or half a character, which no database keeps; take it out")
        return value


class Base(DeclarativeBase):
    # Names are given here and not by each database, so that a migration can name a constraint on any of them.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[Mapping[object, TypeEngine[str] | TypeEngine[datetime] | JSON]] = {
        str: PlainText(),
        datetime: UTCDateTime(),
        JSONObject: JSON(),
        SideName: Text(),
        NewSide: Text(),
        Part: Text(),
        RecipeKind: Text(),
        JobState: Text(),
        Role: Text(),
        InputRole: Text(),
        SequenceMode: Text(),
        View: Text(),
        StoredPrecision: Text(),
        list[str]: JSON(),
        list[JSONObject]: JSON(),
    }


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
