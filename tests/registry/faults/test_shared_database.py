"""MLflow and a registry in one PostgreSQL database: neither touches what is the other's, though both have ``jobs``."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from psycopg.sql import SQL

from registry import Registry
from registry.database import migration
from registry.database.location import Location
from tests.registry.backends import only_postgresql
from tests.registry.database.revisions import changing, migrate
from tests.registry.server import Server

pytestmark = only_postgresql

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = {} ORDER BY table_name, ordinal_position
"""


def columns(server: Server, database: str, schema: str) -> list[tuple[str, ...]]:
    return server.execute(SQL(COLUMNS).format(schema), database)


def counts(server: Server, database: str, schema: str) -> dict[str, int]:
    tables = {row[0] for row in columns(server, database, schema)}
    return {name: server.execute(SQL(f"SELECT count(*) FROM {schema}.{name}"), database)[0][0] for name in tables}


@pytest.mark.parametrize("first", ["registry", "mlflow"])
def test_neither_touches_the_others_tables(
    location: Location, home: Path, server: Server, tmp_path: Path, first: str
) -> None:
    name = location.database.database or ""

    def open_mlflow() -> SqlAlchemyStore:
        return SqlAlchemyStore(location.database.render_as_string(hide_password=False), str(tmp_path / "artifacts"))

    def make_registry() -> None:
        Registry.open(home, create=True).close()

    if first == "registry":
        make_registry()
        ours = columns(server, name, "continual_mt")
        store = open_mlflow()
        assert columns(server, name, "continual_mt") == ours
    else:
        store = open_mlflow()
        theirs = columns(server, name, "public")
        make_registry()
        assert columns(server, name, "public") == theirs
    experiment = store.create_experiment("parent")
    with Registry.open(home) as registry:
        registry.jobs.hold("d" * 64, "addition", "holder")
        before = columns(server, name, "public"), counts(server, name, "public")
        assert before[1]["jobs"] == 0
        with changing(home) as connection:
            migrate(connection, "base")
        assert {row[0] for row in columns(server, name, "continual_mt")} == {migration.VERSION_TABLE}
        with changing(home) as connection:
            migration.upgrade(connection)
        assert (columns(server, name, "public"), counts(server, name, "public")) == before
        assert registry.jobs.get("d" * 64) is None
    assert store.get_experiment(experiment).name == "parent"
    store.engine.dispose()
