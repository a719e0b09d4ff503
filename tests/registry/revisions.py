"""Registries of other versions, for the tests: a database at any revision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from registry import migration
from registry.database import connect
from registry.location import Location


@contextmanager
def changing(home: Path) -> Iterator[Connection]:
    """A transaction on a registry's database, past the registry."""
    _, writer = connect(Location.resolve(home))
    with writer.begin() as connection:
        yield connection
    writer.dispose()


def migrate(connection: Connection, revision: str) -> None:
    """Up or down to a revision."""
    config = migration.configuration()
    config.attributes["connection"] = connection
    known = ["base", *migration.revisions()]
    up = known.index(revision) > known.index(migration.revision(connection) or "base")
    (command.upgrade if up else command.downgrade)(config, revision)
