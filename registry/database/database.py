"""The only place that opens connections and sessions, and that turns a driver's errors into the project's."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, FromClause, Select, column, insert, select, table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from continual_mt.errors import ContinualMTError, RegistryError, StorageError, UnknownNameError
from continual_mt.threads import after_fork
from registry.database import migration, postgresql, schema, sqlite
from registry.database.location import Location, database_file

PATIENCE_SECONDS = 10.0
OPENING_SECONDS = 2.0  # a server that was never reached may be none
_ATTEMPTS = 3
_REVISION: Select[str] = select(column("version_num")).select_from(table(migration.VERSION_TABLE))
_Result = TypeVar("_Result")


class _Backend(Protocol):
    """What each kind of database does in its own way: the modules `sqlite` and `postgresql` beside this one."""

    def engines(self, url: URL) -> tuple[Engine, Engine]: ...
    def prepare(self, writer: Engine) -> None: ...
    def migrating(self, writer: Engine) -> AbstractContextManager[Connection]: ...
    def passes(self, error: DBAPIError) -> bool: ...
    def listed(self, digests: Sequence[str]) -> FromClause: ...
    def explain(self, name: str, error: DBAPIError, reason: str) -> ContinualMTError | None: ...


_BACKENDS: Mapping[str, _Backend] = {"sqlite": sqlite, "postgresql+psycopg": postgresql, "postgresql": postgresql}


class Database:
    """The database of a registry. Opening checks that its schema is this version's.

    All methods raise RegistryError when the database cannot be used and StorageError when it cannot be written to;
    nothing is changed then. If a server is restarted after opening, calls wait for it.
    """

    def __init__(self, location: Location, *, create: bool = False, upgrade: bool = False) -> None:
        """With ``create``, makes what is missing; otherwise a missing registry is an UnknownNameError.

        With ``upgrade``, upgrades an older schema to this version's; ``upgraded_from`` then holds the older revision.
        """
        self.name = location.name
        self.upgraded_from: str | None = None
        self._location = location
        self._revisions = migration.revisions()
        file = database_file(location.database)
        if create and file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot make the folder {file.parent}: {error.strerror or error}") from error
        elif file is not None and not file.is_file():
            raise self._missing()
        self._backend = _backend(location.database)
        self._reader, self._writer = connect(location)
        _open_databases.add(self)
        try:
            self._prepare(create, upgrade)
        except BaseException:
            self.close()
            raise

    @property
    def is_file(self) -> bool:
        """Whether only this machine may use it."""
        return database_file(self._location.database) is not None

    @property
    def folder(self) -> Path | None:
        """The folder of a database that is a file; None for a server."""
        return self._location.folder

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state and writes nothing."""
        with (
            self._translated(),
            self._connected(self._reader) as connection,
            Session(connection, autoflush=False) as session,
        ):
            yield session

    def write(self, change: Callable[[Session], _Result]) -> _Result:
        """Run ``change`` in one transaction: all of it happens, once, or nothing. Writers take turns.

        A connection that is lost before the end has changed nothing, and ``change`` runs again. One that is lost
        while the server commits may have changed all or nothing: the server is asked which, when it is back.
        """
        with self._translated():
            attempt = 0
            while True:
                attempt += 1
                transaction: int | None = None
                try:
                    with (
                        self._connected(self._writer) as connection,
                        Session(connection, expire_on_commit=False) as session,
                    ):
                        session.connection()  # the turn begins here, and not with the first statement
                        # Another process may have upgraded the tables since; older code must not write to them.
                        self._check(connection.scalar(_REVISION))
                        result = change(session)
                        session.flush()
                        transaction = connection.info.get(postgresql.TRANSACTION)
                        session.commit()
                        return result
                except DBAPIError as error:
                    if not self._backend.passes(error):
                        raise
                    if transaction is not None and self._was_committed(transaction):
                        return result
                    if attempt == _ATTEMPTS:
                        raise

    def listed(self, digests: Sequence[str]) -> FromClause:
        """Any number of digests as a table of one column, ``value``, to join with."""
        return self._backend.listed(digests)

    def close(self) -> None:
        self._reader.dispose()

    def drop_connections(self) -> None:
        """Forget the connections of the process that forked this one, which goes on using them, and make new ones."""
        _inherited.append(self._reader.pool)  # deleting them would close them
        self._reader.dispose(close=False)

    def _was_committed(self, transaction: int) -> bool:
        """Ask the server, once it is reachable again, whether a transaction was committed."""
        try:
            with self._connected(self._writer) as connection, connection.begin():
                return postgresql.was_committed(connection, transaction)
        except SQLAlchemyError as error:
            raise RegistryError(
                f"the connection to the registry's database {self.name} was lost in the moment of a change, and the "
                f"server did not come back to say whether it was made ({self._reason(error)}); when it is there "
                "again, run the same command again"
            ) from error

    @contextmanager
    def _connected(self, engine: Engine, seconds: float | None = None) -> Iterator[Connection]:
        """A connection to a server that may be away for a moment."""
        end = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
        while True:
            try:
                connection = engine.connect()
                break
            except DBAPIError as error:
                if time.monotonic() > end or not self._backend.passes(error):
                    raise
            time.sleep(0.1)
        with connection:
            yield connection

    def _prepare(self, create: bool, upgrade: bool) -> None:
        with self._translated():
            with self._connected(self._reader, OPENING_SECONDS):
                pass
            if create:
                self._backend.prepare(self._writer)
                with self._backend.migrating(self._writer) as connection:
                    if migration.revision(connection) is None:
                        migration.upgrade(connection)
                        row = {"key": schema.BLOBS_SETTING, "value": self._location.blobs_setting()}
                        connection.execute(insert(schema.Setting).values(row))
            if upgrade:
                with self._backend.migrating(self._writer) as connection:
                    before = migration.revision(connection)
                    if before in migration.revisions()[:-1]:
                        migration.upgrade(connection)
                        self.upgraded_from = before
            with self._reader.connect() as connection:
                revision = migration.revision(connection)
        self._check(revision)

    def _check(self, revision: str | None) -> None:
        if revision is None:
            raise self._missing()
        if problem := migration.problem(revision, self._revisions):
            raise RegistryError(f"the registry in {self.name} {problem}")

    def _missing(self) -> UnknownNameError:
        return UnknownNameError(
            f"no registry in {self.name}. Fix: name the home of one with --home or CONTINUAL_MT_HOME, or create one "
            "with `continual-mt demo` or `continual-mt parent train`"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._translate(error) from error
        except UnicodeEncodeError as error:  # of a path, under a locale that lacks its characters
            raise RegistryError(
                f"{self.name}: the locale's encoding has no character for its name ({error}); expected UTF-8. "
                "Fix: set PYTHONUTF8=1"
            ) from error
        except ValueError as error:  # a JSON column that holds something else
            raise RegistryError(
                f"a record in {self.name} cannot be read ({error}); the database was changed from outside"
            ) from error

    def _translate(self, error: SQLAlchemyError) -> ContinualMTError:
        if isinstance(error, StatementError) and isinstance(error.orig, ContinualMTError):
            return error.orig
        reason = self._reason(error)
        explained = self._backend.explain(self.name, error, reason) if isinstance(error, DBAPIError) else None
        return explained or RegistryError(f"the registry's database {self.name} cannot be used: {reason}")

    def _reason(self, error: SQLAlchemyError) -> str:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        reason = " ".join(str(cause).split())
        return self._location.without_secrets(reason)


_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Pool] = []


def _drop_connections() -> None:
    for database in _open_databases:
        database.drop_connections()


after_fork(_drop_connections)


def _backend(url: URL) -> _Backend:
    if url.drivername not in _BACKENDS:
        raise RegistryError(
            f"a registry is kept by SQLite or PostgreSQL, and not by {url.drivername}; write "
            "sqlite:////absolute/path/registry.db or postgresql+psycopg://USER@HOST/DATABASE"
        )
    return _BACKENDS[url.drivername]


def migrating(location: Location, writer: Engine) -> AbstractContextManager[Connection]:
    """A transaction on a database in which its tables may be changed."""
    return _backend(location.database).migrating(writer)


def connect(location: Location) -> tuple[Engine, Engine]:
    """Return engines for reading and for writing, not connected yet. Raises RegistryError if the driver is missing."""
    try:
        return _backend(location.database).engines(location.database)
    except ModuleNotFoundError as error:
        raise RegistryError(
            f"the driver of a PostgreSQL database is not installed ({error}): pip install 'continual-mt[postgres]'"
        ) from error
