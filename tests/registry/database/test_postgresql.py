"""What holds for PostgreSQL alone: a server that can be away, full, read-only, or used by others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from continual_mt.errors import ContinualMTError, RegistryError, StorageError, UnknownNameError
from registry import Registry
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from tests.registry.backends import only_postgresql
from tests.registry.faults.relay import Relay
from tests.registry.server import PASSWORD, Server

pytestmark = only_postgresql


@pytest.fixture
def database(location: Location) -> Iterator[Database]:
    made = Database(location, create=True)
    yield made
    made.close()


def note(session: Session) -> str:
    session.add(schema.Setting(key="note", value="1"))
    return "noted"


def keys(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(session.scalars(select(schema.Setting.key)))


def refused(location: Location, error: type[ContinualMTError] = RegistryError, **parts: Any) -> str:
    """The message, which holds no password, as nothing does that it comes from."""
    url = location.database.set(**parts)
    with pytest.raises(error) as caught:
        Database(replace(location, database=url), create=True)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert PASSWORD not in str(chain)
        chain = chain.__cause__
    return str(caught.value)


def test_a_server_that_does_not_answer(location: Location) -> None:
    message = refused(location, port=1)
    assert message.startswith("the registry's database postgresql+psycopg://tester:***@127.0.0.1:1/")
    assert "cannot be reached" in message
    assert "Connection refused" in message
    assert message.endswith("check the host and the port in the URL, and that the server runs")


def test_a_host_that_is_none(location: Location) -> None:
    assert "failed to resolve host 'nosuch.invalid'" in refused(location, host="nosuch.invalid")


@pytest.mark.parametrize("parts", [{"password": "wrong"}, {"username": "nobody"}])
def test_a_wrong_password(location: Location, parts: dict[str, str]) -> None:
    message = refused(location, **parts)
    assert "password authentication failed for user" in message
    assert message.endswith("check the user and the password in the URL")


def test_a_database_that_is_missing(location: Location) -> None:
    message = refused(location, database="nosuch")
    assert 'database "nosuch" does not exist; make the database first: createdb --host HOST' in message


def test_reading_creates_nothing(location: Location, server: Server) -> None:
    with pytest.raises(UnknownNameError, match="no registry in postgresql"):
        Database(location)
    tables = "SELECT FROM pg_namespace WHERE nspname = 'continual_mt'"
    assert server.execute(tables, location.database.database or "") == []


def test_the_password_may_stand_in_the_query(database: Database, location: Location) -> None:
    url = location.database.set(password=None).update_query_dict({"password": PASSWORD})
    with Registry.open(url.render_as_string(hide_password=False)) as opened:
        assert opened.name == location.name
        assert opened.parents() == []


def test_too_many_connections(database: Database, location: Location, server: Server) -> None:
    database.close()
    server.execute("CREATE ROLE few LOGIN PASSWORD 'x7' CONNECTION LIMIT 0")
    message = refused(location, username="few", password="x7")
    assert 'too many connections for role "few"; wait until others have ended, or raise max_connections' in message


def test_a_user_who_may_not_write(database: Database, location: Location, server: Server) -> None:
    server.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    name = location.database.database or ""
    server.execute("GRANT USAGE ON SCHEMA continual_mt TO reader", name)
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA continual_mt TO reader", name)
    reader = Database(replace(location, database=location.database.set(username="reader", password="reader")))
    assert keys(reader) == ["blobs"]
    with pytest.raises(StorageError, match=r"permission denied for table settings; nothing was changed\. .* let this"):
        reader.write(note)
    reader.close()
    server.execute("DROP OWNED BY reader", name)


def test_a_server_that_only_reads(database: Database, location: Location, server: Server) -> None:
    set_default = SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
    server.execute(set_default.format(Identifier(location.database.database or "")))
    database.close()
    with pytest.raises(StorageError, match=r"cannot execute INSERT in a read-only transaction; nothing was changed"):
        database.write(note)
    assert keys(database) == ["blobs"]


def test_a_full_disk(database: Database, location: Location, server: Server) -> None:
    """The server's own error for it, raised by a trigger."""
    raising = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON continual_mt.settings EXECUTE FUNCTION full_disk()
"""
    server.execute(raising, location.database.database or "")
    with pytest.raises(
        StorageError, match=r"No space left on device.*; nothing was changed\. Free space on the server"
    ):
        database.write(note)
    assert keys(database) == ["blobs"]


def test_a_restart_between_two_verbs_is_not_noticed(database: Database, server: Server) -> None:
    assert keys(database) == ["blobs"]
    server.restart()
    assert keys(database) == ["blobs"]
    server.restart()
    assert database.write(note) == "noted"
    assert keys(database) == ["blobs", "note"]


def test_a_server_that_is_away_for_a_moment_is_waited_for(database: Database, server: Server) -> None:
    server.stop()
    back = threading.Timer(0.5, server.start)
    back.start()
    assert keys(database) == ["blobs"]
    back.join()


def test_a_server_that_stays_away(database: Database, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.database.database.PATIENCE_SECONDS", 0.2)
    server.stop()
    with pytest.raises(RegistryError, match=r"cannot be reached: .*Connection refused.* check the host and the port"):
        database.write(note)
    server.start()
    assert keys(database) == ["blobs"]


def test_a_change_in_the_middle_of_which_the_server_restarts_runs_again(database: Database, server: Server) -> None:
    runs: list[int] = []

    def change(session: Session) -> str:
        note(session)
        session.flush()
        runs.append(len(runs))
        if len(runs) == 1:
            server.restart()
        session.add(schema.Setting(key="second", value="1"))
        return "both"

    assert database.write(change) == "both"
    assert runs == [0, 1]
    assert keys(database) == ["blobs", "note", "second"]


def test_a_reader_in_the_middle_of_which_the_server_restarts(database: Database, server: Server) -> None:
    with database.read() as session:
        session.scalar(select(schema.Setting.value))
        server.restart()
        with pytest.raises(DBAPIError):
            session.scalar(select(schema.Setting.value))


# In the middle of COMMIT, before anything is committed.
BREAK = """
CREATE FUNCTION continual_mt.lose() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER lose AFTER INSERT ON continual_mt.settings DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.key = 'note') EXECUTE FUNCTION continual_mt.lose()
"""


def test_a_connection_that_is_lost_before_the_commit_was_made(
    database: Database, location: Location, server: Server
) -> None:
    """The server ends the connection in the middle of COMMIT, and says afterwards that nothing was committed."""
    name = location.database.database or ""
    server.execute(BREAK, name)
    runs: list[int] = []

    def change(session: Session) -> str:
        runs.append(1)
        if len(runs) == 2:
            server.execute("DROP TRIGGER lose ON continual_mt.settings", name)
        return note(session)

    assert database.write(change) == "noted"
    assert len(runs) == 2
    assert keys(database) == ["blobs", "note"]


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    between = Relay(server.port)
    yield between
    if between.stays:
        between.close()


@pytest.fixture
def through(database: Database, location: Location, relay: Relay) -> Iterator[Database]:
    """The same database, reached through the relay."""
    opened = Database(replace(location, database=location.database.set(port=relay.port)))
    yield opened
    opened.close()


def test_a_connection_that_is_lost_after_the_commit_was_made(through: Database, relay: Relay) -> None:
    """The server committed and its answer was lost: it is asked what became of it, and the change is not made twice."""
    runs: list[str] = []
    relay.loses = True
    assert through.write(lambda session: runs.append(note(session)) or "done") == "done"  # type: ignore[func-returns-value]
    assert runs == ["noted"]
    assert keys(through) == ["blobs", "note"]


def test_a_server_that_is_not_back_to_say_what_became_of_a_commit(
    through: Database, database: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.database.database.PATIENCE_SECONDS", 0.2)
    relay.loses, relay.stays = True, False
    with pytest.raises(RegistryError, match=r"did not come back to say whether it was made .* run the same command"):
        through.write(note)
    assert keys(database) == ["blobs", "note"]


REGISTER = """
from dataclasses import replace
from continual_mt.errors import RegistryError
from continual_mt.artifacts.module import Module
from registry import Registry
module = Module.from_pieces(pieces)
def register(job):
    while True:
        try:
            return registry.register_module("base", module, lineage=replace(lineage, job=job)).version
        except RegistryError as error:  # what was read when the server went away; drivers are started again
            assert str(error).endswith("nothing was changed, try again"), error
with Registry.open(home) as registry:
    for number in range(40):
        answers.send((number, register(f"{number:064}")))
"""


def test_the_server_is_restarted_while_modules_are_registered(
    filled: Registry, home: Path, server: Server, start: Callable[..., Any]
) -> None:
    """What was reported as registered exists once and complete, and no version is missing."""
    pieces = filled.load_module("de-en").pieces()
    child = start(REGISTER, home=home, pieces=pieces, lineage=filled.module("de-en").lineage)
    assert child._answers.poll(60)
    for _ in range(4):
        assert child.process.is_alive()
        server.restart()
        time.sleep(0.05)
    registered = child.answers()
    assert registered == [(number, number + 2) for number in range(40)]
    modules = [module for module in filled.modules() if module.pair == filled.module("de-en:1").pair]
    assert [module.version for module in modules] == list(range(1, 42))
    assert [module.lineage.job for module in modules[1:]] == [f"{number:064}" for number in range(40)]
    assert {frozenset(module.pieces) for module in modules} == {frozenset(pieces)}
    with filled.database.read() as session:
        artifacts = session.scalar(text("SELECT count(*) FROM artifacts"))
    assert artifacts == 1 + 41 + 1
