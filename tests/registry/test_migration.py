from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect

from registry import migration, schema


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path}/records.db")
    yield engine
    engine.dispose()


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(migration.configuration()).get_heads() == [migration.revisions()[-1]]


def test_the_migrated_schema_is_that_of_the_models(engine: Engine) -> None:
    with engine.begin() as connection:
        migration.upgrade(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": migration.VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, schema.Base.metadata) == []


def test_names_and_checks_are_those_of_the_models(engine: Engine, tmp_path: Path) -> None:
    """What autogenerate does not compare: the names of constraints, and checks."""
    with engine.begin() as connection:
        migration.upgrade(connection)
    models = create_engine(f"sqlite:///{tmp_path}/models.db")
    schema.Base.metadata.create_all(models)
    migrated, modelled = inspect(engine), inspect(models)
    for table in schema.Base.metadata.tables:
        for constraints in ("get_pk_constraint", "get_foreign_keys", "get_check_constraints", "get_unique_constraints"):
            assert _sorted(getattr(migrated, constraints)(table)) == _sorted(getattr(modelled, constraints)(table))
    models.dispose()


def _sorted(constraints: object) -> object:
    """A table that was copied lists its constraints in another order."""
    return sorted(constraints, key=lambda found: str(found["name"])) if isinstance(constraints, list) else constraints


def test_the_names_fit_every_database() -> None:
    for table in schema.Base.metadata.tables.values():
        for constraint in (*table.constraints, *table.indexes):
            assert constraint.name is not None
            assert len(constraint.name) <= 63


def test_down_and_up_again(engine: Engine) -> None:
    with engine.begin() as connection:
        assert migration.revision(connection) is None
        migration.upgrade(connection)
        assert migration.revision(connection) == migration.revisions()[-1]
        config = migration.configuration()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == [migration.VERSION_TABLE]
        migration.upgrade(connection)


def test_the_problem_of_a_revision() -> None:
    assert migration.problem("0002", ["0001", "0002"]) is None
    older = migration.problem("0001", ["0001", "0002"])
    assert older is not None
    assert older.startswith("has the schema 0001 of an older version of continual_mt, and this version needs 0002")
    newer = migration.problem("0003", ["0001", "0002"])
    assert newer is not None
    assert newer.endswith("a newer version wrote it. Update continual_mt")
