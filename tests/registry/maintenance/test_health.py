from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from sqlalchemy import text

from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE
from registry import Registry
from registry.database import migration
from registry.database.location import Location
from registry.maintenance.health import BlobsHealth, examine_blobs, examine_database, unwritable

NEWEST = migration.revisions()[-1]
UNWRITABLE = Path("/proc/self/home")  # root may write to every folder on a disk


def content(folder: Path) -> Iterator[Path]:
    yield from folder.rglob("*")


def test_an_existing_registry_is_usable(registry: Registry, home: Path) -> None:
    found = examine_database(Location.resolve(home))
    assert (found.exists, found.problem, found.schema, found.newest) == (True, None, NEWEST, NEWEST)
    assert (found.place, found.blobs) == (registry.name, registry.blobs.place)
    assert found.kind == ("SQLite" if registry.database.is_file else "PostgreSQL")


def test_a_registry_that_does_not_exist_is_no_problem_and_is_not_made(location: Location, home: Path) -> None:
    found = examine_database(location)
    assert (found.exists, found.problem, found.schema, found.blobs) == (False, None, None, location.blobs)
    assert not home.exists()


@pytest.mark.parametrize(
    ("revision", "reason"), [(migration.revisions()[0], "then run: continual-mt registry upgrade"), ("9999", "newer")]
)
def test_another_schema_is_a_problem_with_its_revision(
    registry: Registry, home: Path, revision: str, reason: str
) -> None:
    registry.database.write(
        lambda session: session.execute(text(f"UPDATE registry_version SET version_num = '{revision}'"))
    )
    found = examine_database(Location.resolve(home))
    assert (found.exists, found.schema, found.blobs) == (True, revision, None)
    assert found.problem is not None
    assert reason in found.problem


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_text("text " * 1000)
    found = examine_database(Location.resolve(tmp_path))
    assert (found.exists, found.schema) == (True, None)
    assert found.problem is not None
    assert re.search(r"registry.db is not a registry: .*; name another one, or move it away", found.problem)


def test_a_server_that_does_not_answer_is_a_problem_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql+psycopg://me:s3cret@127.0.0.1:1/registry")
    monkeypatch.setenv(BLOBS_VARIABLE, "/data/blobs")
    found = examine_database(Location.resolve())
    assert (found.kind, found.schema, found.blobs) == ("PostgreSQL", None, "/data/blobs")
    assert found.place == "postgresql+psycopg://me:***@127.0.0.1:1/registry"
    assert found.problem is not None
    assert "cannot be reached" in found.problem
    assert "check the host and the port in the URL" in found.problem
    assert "s3cret" not in repr(found)


def test_a_home_that_cannot_be_made_is_a_problem() -> None:
    found = examine_database(Location.resolve(UNWRITABLE))
    assert not found.exists
    assert found.problem == unwritable(UNWRITABLE, "records")


@pytest.mark.parametrize("name", ["exists", "not/yet/made"])
def test_a_folder_of_blobs_is_written_to_without_a_trace(tmp_path: Path, name: str) -> None:
    (tmp_path / "exists").mkdir()
    before = list(content(tmp_path))
    assert examine_blobs(str(tmp_path / name)) == BlobsHealth("folder", str(tmp_path / name))
    assert list(content(tmp_path)) == before


def test_a_folder_that_cannot_be_written_to_is_a_problem(tmp_path: Path) -> None:
    found = examine_blobs(str(UNWRITABLE))
    assert found.problem is not None
    assert found.problem.startswith("/proc/self: cannot be written to (")
    assert found.problem.endswith(
        "), so no blobs can be stored in /proc/self/home. Fix: make it writable, or name another place"
    )
    (tmp_path / "file").touch()
    assert "cannot be written to (Not a directory)" in str(examine_blobs(str(tmp_path / "file")).problem)


def test_a_bucket_is_written_to_and_cleaned(bucket: str) -> None:
    place = f"s3://{bucket}/blobs"
    assert examine_blobs(place) == BlobsHealth("s3", place)
    assert fsspec.filesystem("s3").find(bucket) == []


def test_a_missing_bucket_is_a_problem_with_its_fix(bucket: str) -> None:
    found = examine_blobs(f"s3://{bucket}-missing/blobs")
    assert found.problem is not None
    assert "cannot store 16 bytes at s3://" in found.problem
    assert "make the bucket or folder first, or correct its name" in found.problem
