"""PostgreSQL: how its connections are set up, and what its errors mean.

The tables are in a separate schema, so that MLflow, which also has a table ``jobs``, can use the same database.
Only one transaction writes at a time, as in SQLite, so that the same code is correct on both and no two writers race.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    FromClause,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    text,
)
from sqlalchemy.exc import DBAPIError

from continual_mt.errors import FailureError, RegistryError, StorageError

SCHEMA = "continual_mt"
BUSY_SECONDS = 30
IDLE_SECONDS = 60
# Any number works that no other program uses for an advisory lock in the same database.
_TURN = int.from_bytes(b"cont-mt")
TRANSACTION = "transaction"

# Defaults that a URL may override. A server that stops answering is noticed within a minute.
_CONNECTING = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

# Administrator's or crash shutdown, not yet started, deadlock with another program, a standby's own conflicts.
_PASSING = frozenset({"57P01", "57P02", "57P03", "40001", "40P01", "25P03", "53300"})
# When a connection is refused there is no code, only words; those of the server itself may be in another language.
_PASSING_WORDS = (
    "Connection refused",
    "starting up",
    "shutting down",
    "closed the connection",
    "too many c",
    "recovery",
)
_NO_CONNECTION = ("connection failed", "failed to resolve", "connection timeout")
_LOCK_NOT_AVAILABLE = "55P03"
_READ_ONLY = "25006"
_NOT_ALLOWED = "42501"
_RESOURCES = "53"  # the class of a full disk, of memory and of connections that have run out
_TOO_MANY = "53300"


def engines(url: URL) -> tuple[Engine, Engine]:
    """For reading, where a transaction sees one state throughout, and for writing. A dead connection is replaced."""
    arguments = {name: value for name, value in _CONNECTING.items() if name not in url.query}
    # Parameters may be long, and belong to the user.
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    reader = engine.execution_options(isolation_level="REPEATABLE READ")
    # Each statement sees what writers before this one wrote, so that taking turns is enough.
    return reader, engine.execution_options(isolation_level="READ COMMITTED", writes=True)


def migrating(writer: Engine) -> AbstractContextManager[Connection]:
    """A transaction that changes tables."""
    return writer.begin()


def prepare(writer: Engine) -> None:
    """Create the schema unless it exists, so that the right to create one is needed only once."""
    with writer.begin() as connection:
        if connection.scalar(text("SELECT to_regnamespace(:name) IS NULL"), {"name": SCHEMA}):
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def passes(error: DBAPIError) -> bool:
    """Whether the same may go well when it is run again: the server is being restarted, or was busy with others."""
    return error.connection_invalidated or (
        getattr(error.orig, "sqlstate", None) in _PASSING
        or (_is_connecting(error.orig) and any(words in str(error.orig) for words in _PASSING_WORDS))
    )


def was_committed(connection: Connection, transaction: int) -> bool:
    """Whether a transaction whose connection was lost was committed.

    It has ended: otherwise it would still hold the advisory lock, and ``connection`` could not have begun to write.
    """
    status: str | None = connection.scalar(text("SELECT txid_status(:id)"), {"id": transaction})
    return status == "committed"


def explain(name: str, error: DBAPIError, reason: str) -> FailureError | None:
    """Translate a driver's error; None if nothing can be added to the driver's reason."""
    code = getattr(error.orig, "sqlstate", None) or ""
    if code in (_READ_ONLY, _NOT_ALLOWED) or (code.startswith(_RESOURCES) and code != _TOO_MANY):
        return StorageError(
            f"cannot use the registry's database {name}: {reason}; nothing was changed. "
            "Free space on the server, or let this user write there, then run the same command again"
        )
    if code == _LOCK_NOT_AVAILABLE:
        return RegistryError(
            f"the registry's database {name} was busy for {BUSY_SECONDS} seconds: another process is writing "
            "to it; nothing was changed, try again"
        )
    if _is_connecting(error.orig):
        return RegistryError(f"the registry's database {name} cannot be reached: {reason}; {_way_out(reason)}")
    if passes(error):
        return RegistryError(f"the registry's database {name} gave up: {reason}; nothing was changed, try again")
    return None


def listed(digests: Sequence[str]) -> FromClause:
    """Any number of digests as a table of one column, ``value``."""
    # As one text: the driver takes long over an array of thousands, and the server over JSON.
    split = func.string_to_array(bindparam("digests", ",".join(digests)), ",")
    return func.unnest(split, type_=Text).table_valued("value").render_derived()


def _is_connecting(cause: BaseException | None) -> bool:
    return str(cause).startswith(_NO_CONNECTION)


def _way_out(reason: str) -> str:
    if "database" in reason and "does not exist" in reason:
        return "make the database first: createdb --host HOST --port PORT --username USER DATABASE"
    if "too many c" in reason or "connection slots" in reason:
        return "wait until others have ended, or raise max_connections on the server"
    if "authentication failed" in reason or "no password supplied" in reason or "role" in reason:
        return "check the user and the password in the URL"
    return "check the host and the port in the URL, and that the server runs"


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("writes", False):
        # Not SQLAlchemy's option: a writer that gets the connection next would override a server that only reads.
        connection.exec_driver_sql(f"SET TRANSACTION READ ONLY; SET LOCAL search_path TO {SCHEMA}")
        return
    # A writer that is suspended in its turn must not keep all others out for ever.
    limits = {"lock_timeout": f"{BUSY_SECONDS}s", "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s"}
    settings = ", ".join(f"set_config('{key}', '{value}', true)" for key, value in limits.items())
    connection.exec_driver_sql(f"SELECT set_config('search_path', '{SCHEMA}', true), {settings}")
    turn = connection.exec_driver_sql(f"SELECT txid_current(), pg_advisory_xact_lock({_TURN})")
    connection.info[TRANSACTION] = turn.one()[0]
