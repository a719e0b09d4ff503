"""Whether the records and the blobs of a registry can be used, without making or changing anything that stays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from continual_mt.errors import ContinualMTError, UnknownNameError
from continual_mt.home import BLOBS_VARIABLE
from registry.blobs.fsspec_store import RemoteStore
from registry.database import migration, schema
from registry.database.database import Database, connect
from registry.database.location import Location, database_file


@dataclass(frozen=True)
class DatabaseHealth:
    """The database of a registry; ``problem`` is why it cannot be used, with the fix, or None.

    ``schema`` is the revision of its tables, None if it has no tables yet or they cannot be read; ``newest`` is that of
    this version. ``blobs`` is where the registry keeps its blobs, or where a new one would; None if it is unknown.
    """

    kind: str
    place: str
    schema: str | None
    newest: str
    exists: bool
    blobs: str | None
    problem: str | None = None


@dataclass(frozen=True)
class BlobsHealth:
    """The store of blobs: ``folder``, or the protocol of its URL; ``problem`` is why it cannot be written to."""

    kind: str
    place: str
    problem: str | None = None


def examine_database(place: Location) -> DatabaseHealth:
    """Open the database and read its revision. A missing one is no problem where it could be made."""
    file = database_file(place.database)
    kind, newest = "PostgreSQL" if file is None else "SQLite", migration.revisions()[-1]

    def found(exists: bool, blobs: str | None, problem: str | None = None) -> DatabaseHealth:
        revision = _revision(place) if exists else None
        return DatabaseHealth(kind, place.name, revision, newest, exists, blobs, problem)

    try:
        with closing(Database(place)) as database, database.read() as session:
            blobs = place.blobs_from(session.get_one(schema.Setting, schema.BLOBS_SETTING).value)
        return found(True, blobs)
    except UnknownNameError:
        return found(False, place.blobs, None if file is None else unwritable(file.parent, "records"))
    except ContinualMTError as error:
        # Only the database names the place of its blobs, which may differ from that of a new registry.
        return found(file is None or file.is_file(), os.environ.get(BLOBS_VARIABLE) and place.blobs, str(error))


def _revision(place: Location) -> str | None:
    with suppress(SQLAlchemyError, ContinualMTError):
        reader, _ = connect(place)
        try:
            with reader.connect() as connection:
                return migration.revision(connection)
        finally:
            reader.dispose()
    return None


def examine_blobs(place: str) -> BlobsHealth:
    """Write to the store at a place that `blobs_place` gave, and remove what was written.

    In a folder that is a file without a name; at a URL it is a blob of random bytes, which `registry gc` would collect.
    """
    if "://" not in place:
        return BlobsHealth("folder", place, unwritable(Path(place), "blobs"))

    def write() -> None:
        store = RemoteStore(place)  # without the cache
        store.remove(store.put(os.urandom(16)))

    return BlobsHealth(place.partition("://")[0], place, _error_of(write))


def unwritable(folder: Path, what: str) -> str | None:
    """Why a folder, or the nearest one above it that exists, cannot be written to, with the fix; else None."""
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        return (
            f"{nearest}: cannot be written to ({error.strerror or error}), so no {what} can be stored in {folder}. "
            "Fix: make it writable, or name another place"
        )
    return None


def _error_of(work: Callable[[], None]) -> str | None:
    try:
        work()
    except ContinualMTError as error:
        return str(error)
    return None
