"""Where the tests keep a registry's records: a file in its home, or a separate database on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.sql import SQL

from continual_mt.home import DATABASE_VARIABLE
from registry.database.postgresql import SCHEMA
from tests.registry.server import Server


class InSQLite:
    name = "sqlite"

    @contextmanager
    def at(self, home: Path) -> Iterator[Path]:
        """While it lasts, ``Registry.open(home)`` finds its database."""
        yield home

    def create(self, home: Path) -> None:
        """Make what has to be there before a registry can be."""

    def copy(self, source: Path, home: Path) -> None:
        shutil.copytree(source, home)

    def drop(self, home: Path) -> None:
        """Remove what does not go with the folder."""


class InPostgreSQL:
    name = "postgresql"

    def __init__(self, server: Server) -> None:
        self.server = server

    @contextmanager
    def at(self, home: Path) -> Iterator[Path]:
        with pytest.MonkeyPatch.context() as patch:
            url = self.server.url(_database(home))
            patch.setenv(DATABASE_VARIABLE, url.render_as_string(hide_password=False))
            yield home

    def create(self, home: Path) -> None:
        self.server.create(_database(home))

    def copy(self, source: Path, home: Path) -> None:
        if source.exists():
            shutil.copytree(source, home)
        self.server.create(_database(home), template=_database(source))
        moved = SQL("UPDATE {}.settings SET value = {} WHERE key = 'blobs'")
        self.server.execute(moved.format(SQL(SCHEMA), str(home / "blobs")), _database(home))

    def drop(self, home: Path) -> None:
        self.server.drop(_database(home))


Backend = InSQLite | InPostgreSQL


def _database(home: Path) -> str:
    """Each test has a separate folder, and so a separate database."""
    return home.parent.name


only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.slow)
only_postgresql = pytest.mark.parametrize("backend", [_POSTGRESQL], indirect=True)
