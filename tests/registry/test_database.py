import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from continual_mt.errors import RegistryError, StorageError, UnknownNameError
from registry import schema
from registry.database import Database
from registry.location import Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location.resolve(tmp_path / "home")


def test_reading_creates_nothing(location: Location, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Database(location)
    assert str(caught.value) == (
        f"there is no registry in {tmp_path}/home/registry.db; "
        "`continual-mt demo` or `continual-mt parent train` makes one"
    )
    assert list(tmp_path.iterdir()) == []


def test_another_programs_database_is_no_registry(location: Location, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with sqlite3.connect(location.name) as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('mlflow')")
    other.close()
    with pytest.raises(UnknownNameError, match="there is no registry in"):
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


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_registry_is_refused(location: Location, create: bool) -> None:
    database = Database(location, create=True)
    database.write(lambda session: session.execute(text("UPDATE registry_version SET version_num = '9999'")))
    database.close()
    with pytest.raises(RegistryError, match=f"{location.name} has the schema 9999.*a newer version wrote it"):
        Database(location, create=create)


def test_sqlite_is_set_up(location: Location) -> None:
    database = Database(location, create=True)
    with database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("foreign_keys", "busy_timeout", "journal_mode")
        }
    database.close()
    assert pragmas == {"foreign_keys": 1, "busy_timeout": 30_000, "journal_mode": "wal"}


def test_a_transaction_happens_or_not(location: Location) -> None:
    database = Database(location, create=True)

    def change(session: Session) -> None:
        session.add(schema.Setting(key="note", value="1"))
        session.flush()
        raise KeyError("stop")

    with pytest.raises(KeyError):
        database.write(change)
    with database.read() as session:
        assert session.scalars(select(schema.Setting.key)).all() == ["blobs"]
    database.close()


def test_a_reader_sees_one_state(location: Location) -> None:
    database = Database(location, create=True)
    with database.read() as session:
        assert session.scalar(select(schema.Setting.value)) == "blobs"
        database.write(lambda writer: writer.add(schema.Setting(key="note", value="1")))
        assert len(session.scalars(select(schema.Setting)).all()) == 1
    with database.read() as session:
        assert len(session.scalars(select(schema.Setting)).all()) == 2
    database.close()


def test_the_loser_of_a_race_runs_again(location: Location) -> None:
    database = Database(location, create=True)
    seen: list[bool] = []

    def change(session: Session) -> str:
        seen.append(session.get(schema.Setting, "note") is not None)
        key = "blobs" if len(seen) == 1 else "note"
        session.add(schema.Setting(key=key, value="1"))
        session.flush()
        return key

    assert database.write(change) == "note"
    assert seen == [False, False]
    database.close()


def test_a_violation_that_stays_is_an_error(location: Location) -> None:
    database = Database(location, create=True)
    with pytest.raises(RegistryError, match=r"cannot be used: UNIQUE constraint failed: settings\.key") as caught:
        database.write(lambda session: session.add(schema.Setting(key="blobs", value="1")))
    assert isinstance(caught.value.__cause__, IntegrityError)
    database.close()


def test_references_are_checked(location: Location) -> None:
    database = Database(location, create=True)
    with pytest.raises(RegistryError, match="FOREIGN KEY constraint failed"):
        database.write(lambda session: session.add(schema.Piece(artifact_id=1, name="x", digest="d")))
    database.close()


def test_a_writer_that_never_ends_is_reported(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(location, create=True).close()
    monkeypatch.setattr("registry.database.BUSY_SECONDS", 0)
    database = Database(location)
    other = sqlite3.connect(location.name, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        RegistryError, match=f"{location.name} was busy for 0 seconds: another process is writing to it"
    ):
        database.write(lambda session: session.add(schema.Setting(key="note", value="1")))
    with database.read() as session:
        assert session.scalars(select(schema.Setting.key)).all() == ["blobs"]
    other.close()
    database.close()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=f"cannot make the folder {tmp_path}/file"):
        Database(Location.resolve(tmp_path / "file/home"), create=True)


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(RegistryError, match="there is no driver for a nosuch database"):
        Database(Location(URL.create("nosuch", password="secret"), "/blobs", Path("/cache")))


def test_an_unreachable_server_keeps_the_password() -> None:
    url = URL.create("postgresql", username="me", password="secret", host="127.0.0.1", port=1, database="records")
    with pytest.raises(RegistryError, match=r"postgresql://me:\*\*\*@127\.0\.0\.1:1/records cannot be used") as caught:
        Database(Location(url, "/blobs", Path("/cache")))
    assert "secret" not in str(caught.value)


def test_a_full_disk_changes_no_record(location: Location, start: Callable[..., Any]) -> None:
    Database(location, create=True).close()
    text = """
import resource
from continual_mt.errors import StorageError
from registry import schema
from registry.database import Database
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


def test_two_processes_make_one_registry(tmp_path: Path, start: Callable[..., Any]) -> None:
    text = """
from registry import Registry
for number in range(20):
    Registry.open(folder / str(number), create=True).close()
"""
    children = [start(text, folder=tmp_path) for _ in range(2)]
    assert [child.exit_code() for child in children] == [0, 0]
    for number in range(20):
        Database(Location.resolve(tmp_path / str(number))).close()
