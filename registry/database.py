"""The only place that opens connections and sessions, and that turns a driver's errors into the project's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from continual_mt.errors import FailureError, RegistryError, StorageError, UnknownNameError
from registry import migration, schema
from registry.location import Location, database_file

BUSY_SECONDS = 30
_ATTEMPTS = 3
_Result = TypeVar("_Result")

_FULL_OR_READ_ONLY = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Database:
    """Records behind a URL. Opening checks that there is a registry of this version's schema.

    All methods raise RegistryError when the database cannot be used and StorageError when it cannot be written to;
    nothing is changed then.
    """

    def __init__(self, location: Location, *, create: bool = False, upgrade: bool = False) -> None:
        """With ``create``, makes what is missing; otherwise a missing registry is an UnknownNameError.

        With ``upgrade``, brings an older schema to this version's.
        """
        self.name = location.name
        self._location = location
        self._password = location.database.password
        file = database_file(location.database)
        if create and file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot make the folder {file.parent}: {error.strerror or error}") from error
        elif file is not None and not file.is_file():
            raise self._missing()
        self._engine = _create_engine(location)
        try:
            self._prepare(create, upgrade)
        except BaseException:
            self.close()
            raise

    @property
    def is_file(self) -> bool:
        """Whether only this machine may use it."""
        return database_file(self._location.database) is not None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state and writes nothing."""
        with self._translated(), Session(self._engine, autoflush=False) as session:
            yield session

    def write(self, change: Callable[[Session], _Result]) -> _Result:
        """Run ``change`` in one transaction: all of it happens, or nothing.

        SQLite lets one writer at a time in. Elsewhere two may race for a name or a number: the loser violates a
        uniqueness constraint, runs again and then sees what the winner wrote.
        """
        with self._translated():
            attempt = 1
            while True:
                try:
                    with Session(_for_writing(self._engine), expire_on_commit=False) as session, session.begin():
                        return change(session)
                except IntegrityError:
                    if attempt == _ATTEMPTS:
                        raise
                    attempt += 1

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self, create: bool, upgrade: bool) -> None:
        with self._translated():
            if create:
                with self._engine.connect() as connection:
                    _use_write_ahead_log(connection)
                with _for_writing(self._engine).begin() as connection:
                    if migration.revision(connection) is None:
                        migration.upgrade(connection)
                        row = {"key": schema.BLOBS_SETTING, "value": self._location.blobs_setting()}
                        connection.execute(insert(schema.Setting).values(row))
            if upgrade:
                with _for_writing(self._engine).begin() as connection:
                    if migration.revision(connection) in migration.revisions():
                        migration.upgrade(connection)
            with self._engine.connect() as connection:
                revision = migration.revision(connection)
        if revision is None:
            raise self._missing()
        if problem := migration.problem(revision, migration.revisions()):
            raise RegistryError(f"the registry in {self.name} {problem}")

    def _missing(self) -> UnknownNameError:
        return UnknownNameError(
            f"there is no registry in {self.name}; `continual-mt demo` or `continual-mt parent train` makes one"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._translate(error) from error
        except ValueError as error:  # a JSON column that holds something else
            raise RegistryError(
                f"a record in {self.name} cannot be read ({error}); the database was changed from outside"
            ) from error

    def _translate(self, error: SQLAlchemyError | sqlite3.Error) -> FailureError:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        reason = " ".join(str(cause).split())
        if self._password:
            reason = reason.replace(str(self._password), "***")
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _FULL_OR_READ_ONLY:
            return StorageError(
                f"cannot use the registry's database {self.name}: {reason}; nothing was changed. "
                "Free space or make the file and its folder writable, then run the same command again"
            )
        if code in _LOCKED:
            return RegistryError(
                f"the registry's database {self.name} was busy for {BUSY_SECONDS} seconds: another process is writing "
                "to it; nothing was changed, try again"
            )
        if code == sqlite3.SQLITE_NOTADB:
            return RegistryError(f"{self.name} is not a registry: {reason}; name another one, or move it away")
        return RegistryError(f"the registry's database {self.name} cannot be used: {reason}")


def _create_engine(location: Location) -> Engine:
    backend = location.database.get_backend_name()
    try:
        engine = create_engine(location.database)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise RegistryError(f"there is no driver for a {backend} database: {error}") from error
    if backend == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _for_writing(engine: Engine) -> Engine:
    return engine.execution_options(writes=True)


def _set_up_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would emit BEGIN only before the first change, too late for a number that was read before it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_write_ahead_log(connection: Connection) -> None:
    """Readers then never wait for a writer. The setting is kept in the file, and cannot be changed in a transaction."""
    if connection.dialect.name != "sqlite":
        return
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()
