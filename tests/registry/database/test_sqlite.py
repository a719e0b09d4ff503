"""What holds for SQLite alone: the file, its settings, and the errors of a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text

from continual_mt.errors import RegistryError, StorageError, UnknownNameError
from registry import Registry
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.recipes.listing import Listing


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location.resolve(tmp_path / "home")


def test_reading_creates_nothing(location: Location, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Database(location)
    assert str(caught.value) == (
        f"no registry in {tmp_path}/home/registry.db. Fix: name the home of one with --home or CONTINUAL_MT_HOME, "
        "or create one with `continual-mt demo` or `continual-mt parent train`"
    )
    assert list(tmp_path.iterdir()) == []


def test_another_programs_database_is_no_registry(location: Location, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with sqlite3.connect(location.name) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('mlflow')")
    other.close()
    with pytest.raises(UnknownNameError, match="no registry in"):
        Database(location)
    Database(location, create=True).close()
    Database(location).close()
    with sqlite3.connect(location.name) as other:
        assert other.execute("SELECT * FROM alembic_version").fetchall() == [("mlflow",)]
    other.close()


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_database(location: Location, create: bool) -> None:
    Path(location.name).parent.mkdir()
    Path(location.name).write_bytes(b"neither records nor weights" * 100)
    with pytest.raises(RegistryError, match=f"{location.name} is not a registry: file is not a database; name another"):
        Database(location, create=create)
    assert Path(location.name).read_bytes() == b"neither records nor weights" * 100


def test_its_settings(location: Location) -> None:
    database = Database(location, create=True)
    with database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("foreign_keys", "busy_timeout", "journal_mode")
        }
    database.close()
    assert pragmas == {"foreign_keys": 1, "busy_timeout": 30_000, "journal_mode": "wal"}


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=f"cannot make the folder {tmp_path}/file"):
        Database(Location.resolve(tmp_path / "file/home"), create=True)


def test_a_full_disk_changes_no_record(location: Location, start: Callable[..., Any]) -> None:
    Database(location, create=True).close()
    text = """
import resource
from continual_mt.errors import StorageError
from registry import Registry
from registry.database import schema
from registry.database.database import Database
database = Database(location)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    database.write(lambda session: session.add(schema.Setting(key="note", value="x" * 400_000)))
except StorageError as error:
    answers.send(str(error))
"""
    [message] = start(text, location=location).answers()
    assert message.startswith(f"cannot use the registry's database {location.name}: ")
    assert "nothing was changed. Free space" in message
    database = Database(location)
    with database.read() as session:
        assert session.scalars(select(schema.Setting.key)).all() == ["blobs"]
    database.close()


def test_the_scores_that_pairs_are_listed_with_are_read_from_their_index_alone(tmp_path: Path) -> None:
    """Which SQLite does only where it has ``shown`` itself, too."""
    with Registry.open(tmp_path / "home", create=True) as registry:
        asked: list[str] = []
        event.listen(
            registry.database._reader, "before_cursor_execute", lambda *call: asked.append(call[2]), named=False
        )
        Listing(registry.database).best_scores([])
        statement = next(words for words in asked if "json_each" in words)
        with registry.database.read() as session:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("[]",)).all()
    assert any("COVERING INDEX ix_scores_shown (recipe_digest=?)" in step[3] for step in plan)


def test_nothing_is_written_to_a_file_that_was_replaced(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "home", create=True) as registry:
        registry.storage.claim()
        (tmp_path / "home/registry.db").rename(tmp_path / "aside.db")
        for _ in range(2):
            with pytest.raises(RegistryError, match=r"registry.db was removed or replaced while it was in use"):
                registry.jobs.again("0" * 64)
        assert not (tmp_path / "home/registry.db").exists()
        (tmp_path / "aside.db").rename(tmp_path / "home/registry.db")
        assert registry.catalog.corpora() == []
