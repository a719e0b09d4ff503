"""SQLite: how its connections are set up, and what its errors mean."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    FromClause,
    create_engine,
    event,
    func,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from continual_mt.errors import FailureError, RegistryError, StorageError

BUSY_SECONDS = 30
_FILE = "file"

_FULL_OR_READ_ONLY = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def engines(url: URL) -> tuple[Engine, Engine]:
    """For reading and for writing. One writer is let in at a time."""
    file = Path(str(url.database))
    engine = create_engine(url, creator=partial(_connect, file))
    event.listen(engine, "connect", partial(_set_up, file))
    event.listen(engine, "begin", _begin)
    return engine, engine.execution_options(begin="BEGIN IMMEDIATE")


def _connect(file: Path) -> sqlite3.Connection:
    """Connect. A file in a folder that cannot be written to is opened as one that does not change.

    SQLite would make files beside it, to coordinate with writers. A write-ahead log that was left with changes in it
    is read: then the file is opened for reading only.
    """
    if not file.is_file() or os.access(file.parent, os.W_OK):
        return sqlite3.connect(file, check_same_thread=False)
    log = Path(f"{file}-wal")
    options = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    return sqlite3.connect(f"{file.as_uri()}?{options}", uri=True, check_same_thread=False)


def prepare(writer: Engine) -> None:
    """Readers then never wait for a writer. The setting is kept in the file, and cannot be changed in a transaction."""
    with writer.execution_options(begin=None).connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


@contextmanager
def migrating(writer: Engine) -> Iterator[Connection]:
    """A transaction in which tables may be made again, as SQLite needs for most changes of one.

    Foreign keys are checked at its end: a table that others refer to could not be replaced otherwise. Raises
    RegistryError, and changes nothing, for a row that refers to a missing one.
    """
    with writer.execution_options(begin=None).connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # has no effect in a transaction
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise RegistryError(
                    f"a row of {broken[0]} names one of {broken[2]} that does not exist, so the tables cannot be "
                    "upgraded; nothing was changed. Fix: restore a backup of the registry"
                )
            connection.commit()
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def passes(error: DBAPIError) -> bool:
    """Whether the same may go well when it is run again: never, since SQLite itself has waited for other writers."""
    return False


def explain(name: str, error: DBAPIError, reason: str) -> FailureError | None:
    """Translate a driver's error; None if nothing can be added to the driver's reason."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _FULL_OR_READ_ONLY:
        return StorageError(
            f"cannot use the registry's database {name}: {reason}; nothing was changed. "
            "Free space or make the file and its folder writable, then run the same command again"
        )
    if code in _LOCKED:
        return RegistryError(
            f"the registry's database {name} was busy for {BUSY_SECONDS} seconds: another process is writing "
            "to it; nothing was changed, try again"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return RegistryError(f"{name} is not a registry: {reason}; name another one, or move it away")
    return None


def listed(digests: Sequence[str]) -> FromClause:
    """Any number of digests as a table of one column, ``value``."""
    return func.json_each(json.dumps(digests)).table_valued("value")


def _set_up(file: Path, connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    # The driver would emit BEGIN only before the first change, too late for a number that was read before it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.close()
    entry.info[_FILE] = _file(str(file))


def _file(path: str) -> tuple[str, int, int] | None:
    """A file by what it is, not by its name alone; None when it is not there."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return path, status.st_dev, status.st_ino


def _begin(connection: Connection) -> None:
    path = connection.info[_FILE][0]
    if _file(path) != connection.info[_FILE]:
        # Changes written to the open file would be lost silently.
        raise RegistryError(
            f"the database {path} was removed or replaced while it was in use; nothing was changed, run it again"
        )
    if begin := connection.get_execution_options().get("begin", "BEGIN"):
        connection.exec_driver_sql(begin)
