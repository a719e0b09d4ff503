"""What holds for every kind of database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from continual_mt.errors import InputError, RegistryError
from registry import Registry
from registry.database import migration, schema
from registry.database.database import Database
from registry.database.location import Location
from tests.registry.backends import Backend


@pytest.fixture
def database(location: Location) -> Iterator[Database]:
    made = Database(location, create=True)
    yield made
    made.close()


def keys(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(session.scalars(select(schema.Setting.key)))


def note(key: str = "note", value: str = "1") -> Callable[[Session], None]:
    return lambda session: session.add(schema.Setting(key=key, value=value))


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_registry_is_refused(database: Database, location: Location, create: bool) -> None:
    database.write(lambda session: session.execute(text("UPDATE registry_version SET version_num = '9999'")))
    with pytest.raises(RegistryError, match=f"{re.escape(location.name)} has the schema 9999.*a newer version wrote"):
        Database(location, create=create)


def test_who_was_there_before_an_upgrade_writes_no_more(database: Database) -> None:
    """What an older version leaves out, a newer one may need."""
    database.write(lambda session: session.execute(text("UPDATE registry_version SET version_num = '9999'")))
    with pytest.raises(RegistryError, match=r"has the schema 9999, which .* a newer version wrote it. Update"):
        database.write(note())
    assert keys(database) == ["blobs"]


def test_a_transaction_happens_or_not(database: Database) -> None:
    def change(session: Session) -> None:
        note()(session)
        session.flush()
        raise KeyError("stop")

    with pytest.raises(KeyError):
        database.write(change)
    assert keys(database) == ["blobs"]


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.read() as session:
        assert session.scalars(select(schema.Setting.key)).all() == ["blobs"]
        database.write(note())
        assert session.scalars(select(schema.Setting.key)).all() == ["blobs"]
    assert keys(database) == ["blobs", "note"]


def test_a_violation_is_an_error(database: Database) -> None:
    with pytest.raises(RegistryError, match=r"cannot be used: .*(settings\.key|pk_settings)") as caught:
        database.write(note("blobs"))
    assert isinstance(caught.value.__cause__, IntegrityError)


def test_references_are_checked(database: Database) -> None:
    with pytest.raises(RegistryError, match=r"(?i)foreign key constraint"):
        database.write(lambda session: session.add(schema.Piece(artifact_id=1, name="x", digest="d")))


def test_writers_take_turns(database: Database, location: Location, start: Callable[..., Any]) -> None:
    """Each reads a number before it writes the next one, which nothing but taking turns makes right."""
    adding = """
from registry.database import schema
from registry.database.database import Database
database = Database(location)
def change(session):
    row = session.get(schema.Setting, "count")
    row.value = str(int(row.value) + 1)
for _ in range(25):
    database.write(change)
"""
    database.write(note("count", "0"))
    assert [child.exit_code() for child in [start(adding, location=location) for _ in range(3)]] == [0, 0, 0]
    with database.read() as session:
        assert session.get_one(schema.Setting, "count").value == "75"


def test_a_writer_that_never_ends_is_reported(
    location: Location, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(location, create=True)
    monkeypatch.setattr(f"registry.database.{backend.name}.BUSY_SECONDS", 0.001)
    other = Database(location)
    with database._writer.begin(), pytest.raises(RegistryError) as caught:
        other.write(note())
    assert str(caught.value) == (
        f"the registry's database {location.name} was busy for 0.001 seconds: another process is writing to it; "
        "nothing was changed, try again"
    )
    assert keys(database) == ["blobs"]
    other.close()
    database.close()


def test_moments_come_back_in_utc(registry: Registry) -> None:
    there = timezone(timedelta(hours=-7))
    moment = datetime(2026, 3, 29, 18, 30, 0, 123_456, there)
    job = schema.Job(digest="d" * 64, kind="addition", state="stopped", attempt=1, created=moment, updated=moment)
    registry.database.write(lambda session: session.add(job))
    read = registry.jobs.get("d" * 64)
    assert read is not None
    assert (read.created, read.created.tzinfo) == (moment, UTC)
    assert read.created.isoformat() == "2026-03-30T01:30:00.123456+00:00"


@pytest.mark.parametrize("value", ["a\0b", "half a pair \ud83d"])
def test_text_that_no_database_keeps(database: Database, value: str) -> None:
    with pytest.raises(InputError, match="holds a NUL or half a character, which no database keeps; take it out"):
        database.write(note(value=value))
    assert keys(database) == ["blobs"]


@pytest.mark.parametrize("driver", ["nosuch", "mysql", "postgresql+psycopg2"])
def test_another_kind_of_database_is_refused(driver: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Database(Location(URL.create(driver, password="secret"), "/blobs", Path("/cache")))
    assert str(caught.value) == (
        f"a registry is kept by SQLite or PostgreSQL, and not by {driver}; write "
        "sqlite:////absolute/path/registry.db or postgresql+psycopg://USER@HOST/DATABASE"
    )


def test_two_processes_make_one_registry(location: Location, home: Path, start: Callable[..., Any]) -> None:
    making = """
from registry import Registry
Registry.open(home, create=True).close()
"""
    assert [child.exit_code() for child in [start(making, home=home) for _ in range(4)]] == [0] * 4
    database = Database(location)
    with database.read() as session:
        assert migration.revision(session.connection()) == migration.revisions()[-1]
    assert keys(database) == ["blobs"]
    database.close()
