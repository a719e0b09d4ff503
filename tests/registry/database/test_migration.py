"""Every revision, up and down, with rows in every table, on every kind of database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, select, text

from continual_mt.cli.main import main
from continual_mt.errors import RegistryError
from registry import Registry, ScoreRecord
from registry.database import migration, schema
from registry.database.location import Location
from tests.registry.backends import Backend
from tests.registry.database import dump_schema
from tests.registry.database.revisions import changing, fill_tables, migrate

REVISIONS = migration.revisions()


def rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All that is in the tables, by table, but which revision it is."""
    found = MetaData()
    found.reflect(connection)
    return {
        table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
        for table in found.sorted_tables
        if table.name != migration.VERSION_TABLE
    }


def in_common(rows: dict[str, list[dict[str, Any]]], others: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Those tables and columns of ``rows`` that ``others`` has, too."""
    columns = {table: set(found[0]) for table, found in others.items() if found}
    return {
        table: [{name: value for name, value in row.items() if name in columns[table]} for row in found]
        for table, found in rows.items()
        if table in columns
    }


def without_moved(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without the languages of parents, which have a table of their own since revision 0010."""
    moved = {"parents": ("source", "target")}
    return {
        table: [{name: value for name, value in row.items() if name not in moved.get(table, ())} for row in found]
        for table, found in rows.items()
    }


def plain(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec without the keys that hold lineage before revision 0007."""
    return {key: value for key, value in spec.items() if key not in ("environment", "start", "replay", "replayed")}


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(migration.configuration()).get_heads() == [REVISIONS[-1]]


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_a_revision_live_through_up_and_down(location: Location, home: Path, revision: str) -> None:
    prepare(home)
    with changing(home) as connection:
        migrate(connection, revision)
        fill_tables(connection)
        before = rows(connection)
        assert all(before.values())
    with changing(home) as connection:
        migration.upgrade(connection)
        after = rows(connection)
        assert migration.revision(connection) == REVISIONS[-1]
        assert in_common(after, before) == without_moved(before)
        if "parents" in before and "source" in before["parents"][0]:
            own = {(row["id"], end, row[end]) for row in before["parents"] for end in ("source", "target")}
            assert {(row["parent_id"], row["end"], row["tag"]) for row in after["parent_sides"]} == own
    with changing(home) as connection:
        migrate(connection, revision)
        assert rows(connection) == before


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_rows_of_the_newest_live_through_down_and_up(location: Location, home: Path, revision: str) -> None:
    """But for what the older tables have no place for."""
    prepare(home)
    with changing(home) as connection:
        migration.upgrade(connection)
        fill_tables(connection)
        before = rows(connection)
    with changing(home) as connection:
        migrate(connection, revision)
        older = rows(connection)
        assert all(older.values())
        if "artifacts" in older:  # which hold lineage in their specs
            older["artifacts"] = [{**row, "spec": plain(row["spec"])} for row in older["artifacts"]]
        assert in_common(before, older) == without_moved(older)
    with changing(home) as connection:
        migration.upgrade(connection)
        assert in_common(rows(connection), older) == in_common(before, older)


def prepare(home: Path) -> None:
    """All but the tables."""
    with Registry.open(home, create=True):
        pass
    with changing(home) as connection:
        migrate(connection, "base")
        assert inspect(connection).get_table_names() == [migration.VERSION_TABLE]


def test_the_migrated_schema_is_that_of_the_models(registry: Registry) -> None:
    with registry.database.read() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"version_table": migration.VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, schema.Base.metadata) == []


def test_names_and_checks_are_those_of_the_models(registry: Registry, home: Path) -> None:
    """What autogenerate does not compare: the names of constraints, and checks."""
    with changing(home) as connection:
        migrated = dump_schema.dump(connection)
        migrate(connection, "base")
        schema.Base.metadata.create_all(connection)
        assert dump_schema.dump(connection) == migrated


def test_the_schema_is_the_one_that_was_noted(registry: Registry, home: Path, backend: Backend) -> None:
    with changing(home) as connection:
        now = dump_schema.dump(connection)
    assert now == dump_schema.noted(backend.name), (
        "the tables are not those of tests/registry/database/schema: if that is meant, run: "
        "python -m tests.registry.database.dump_schema"
    )


def test_the_names_fit_every_database() -> None:
    for table in schema.Base.metadata.tables.values():
        for constraint in (*table.constraints, *table.indexes):
            assert constraint.name is not None
            assert len(constraint.name) <= 63


def test_the_problem_of_a_revision() -> None:
    assert migration.problem("0002", ["0001", "0002"]) is None
    older = migration.problem("0001", ["0001", "0002"])
    assert older is not None
    assert older.startswith("has the schema 0001 of an older version of continual_mt, and this version needs 0002")
    newer = migration.problem("0003", ["0001", "0002"])
    assert newer is not None
    assert newer.endswith("a newer version wrote it. Update continual_mt")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """One command on the registry: its exit code, and all that it printed."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--home", str(home)])
        return code, *capfd.readouterr()

    return call


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_registry_on_the_command_line(filled: Registry, home: Path, run: Run, revision: str) -> None:
    modules, name = filled.modules(), filled.name
    filled.close()
    with changing(home) as connection:
        migrate(connection, revision)
    for arguments in (["pairs"], ["registry", "list", "--json"]):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert f"the registry in {name} has the schema {revision} of an older version of continual_mt" in joined(err)
        assert "nothing was changed. Make a copy of it, then run: continual-mt registry upgrade" in joined(err)
    newest = REVISIONS[-1]
    code, out, err = run("registry", "upgrade")
    assert (code, out) == (0, "")
    assert joined(err).strip() == f"{name} has the tables of this version now: schema {newest} instead of {revision}"
    code, out, err = run("registry", "upgrade")
    assert joined(err).strip().endswith(f"of this version already (schema {newest}); nothing was changed")
    assert json.loads(run("registry", "upgrade", "--json")[1]) == {"registry": name, "from": None, "to": newest}
    with Registry.open(home) as upgraded:
        assert upgraded.modules() == modules


def test_an_upgrade_finds_the_scores_that_pairs_are_shown_with(filled: Registry, home: Path) -> None:
    """Which registries before 0006 do not have beside them."""
    recipes = (
        filled.recipe_catalog.recipe("de", "en"),
        filled.recipe_catalog.recipe("fr", "es"),
        filled.recipe_catalog.recipe("de", "es"),
    )
    measured = [
        ScoreRecord.of(
            recipe,
            test=f"of {sentences}",
            test_digest=f"{sentences:064x}",
            metric=metric,
            value=value,
            copy_value=None,
            signature="s",
            sentences=sentences,
            beam=beam,
        )
        for recipe, metric, sentences, beam, value in (
            (recipes[0], "bleu", 100, 1, 20.0),
            (recipes[0], "bleu", 100, 5, 30.0),
            (recipes[0], "bleu", 10, 5, 80.0),
            (recipes[0], "chrf", 1000, 5, 90.0),
            (recipes[1], "bleu", 10, 1, 10.0),
            (recipes[2], "chrf", 10, 1, 10.0),
        )
    ]
    filled.register_scores(measured)
    before = filled.pairs()
    assert [entry.score.value if entry.score else None for entry in before] == [None, 30.0, 10.0, None]
    filled.close()
    with changing(home) as connection:
        migrate(connection, "0005")
    with Registry.open(home, upgrade=True) as upgraded:
        assert upgraded.pairs() == before


def test_a_newer_registry_on_the_command_line(filled: Registry, home: Path, run: Run) -> None:
    with changing(home) as connection:
        connection.execute(text("UPDATE registry_version SET version_num = '9999'"))
    for arguments in (["pairs"], ["registry", "upgrade"]):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert f"the registry in {filled.name} has the schema 9999, which this version" in joined(err)
        assert "a newer version wrote it. Update continual_mt" in joined(err)
    with pytest.raises(RegistryError, match="has the schema 9999"):
        Registry.open(home, upgrade=True)


def joined(printed: str) -> str:
    """Without the breaks of lines, which depend on how long the temporary folder's name is."""
    return " ".join(printed.split())
