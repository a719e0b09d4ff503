"""Registries of other versions, for the tests: a database at any revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Column, Connection, MetaData, insert, inspect

from registry.database import migration
from registry.database.database import connect, migrating
from registry.database.location import Location


@contextmanager
def changing(home: Path) -> Iterator[Connection]:
    """A transaction on a registry's database, past the registry."""
    location = Location.resolve(home)
    _, writer = connect(location)
    try:
        with migrating(location, writer) as connection:
            yield connection
    finally:
        writer.dispose()


def migrate(connection: Connection, revision: str) -> None:
    """Up or down to a revision."""
    config = migration.configuration()
    config.attributes["connection"] = connection
    known = ["base", *migration.revisions()]
    up = known.index(revision) > known.index(migration.revision(connection) or "base")
    (command.upgrade if up else command.downgrade)(config, revision)


def fill_tables(connection: Connection) -> None:
    """Two rows in every table there is at this revision: the second refers to the second, and has no NULL."""
    found = MetaData()
    found.reflect(connection)
    checks = {table.name: inspect(connection).get_check_constraints(table.name) for table in found.sorted_tables}
    # Every value of a column, so that rows which refer to each other agree.
    given: dict[Column[Any], list[Any]] = {}
    for table in found.sorted_tables:
        if table.name == migration.VERSION_TABLE:
            continue
        allowed = {name: words for check in checks[table.name] for name, words in _words(check["sqltext"])}
        for column in table.columns:
            referred = next((given[key.column] for key in column.foreign_keys), None)
            given[column] = referred or [_value(column, row, allowed.get(column.name)) for row in (1, 2)]
        for row in (0, 1):
            values = {column.name: given[column][row] for column in table.columns}
            if row == 0:
                values |= {column.name: None for column in table.columns if column.nullable}
            connection.execute(insert(table).values(values))


def _words(check: str) -> list[tuple[str, list[str]]]:
    """Columns of a check that may hold some words only, with those words."""
    words = re.findall(r"'([^']*)'", check)
    column = re.match(r"\W*(\w+)", check)
    return [(column[1], words)] if column and words else []


def _value(column: Column[Any], row: int, words: list[str] | None) -> Any:
    kind = column.type.python_type
    if words:
        return words[row % len(words)]
    if kind is str:
        return f"{column.name} {row}: ü → 中 '\"%"[: getattr(column.type, "length", None)]
    if kind is object:  # JSON
        return {column.name: [row, 0.1, None, "ü"]}
    return {int: row, float: row + 0.1, bool: row == 1, datetime: datetime(2026, 3, 29, 1, 59, row, 123_456, UTC)}[kind]
