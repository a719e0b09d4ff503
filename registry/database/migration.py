"""Alembic, run from here and never from a shell: which schema a database has, and bringing it to this version's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

# MLflow's tables may be in the same database, and Alembic's usual name for this table is MLflow's.
VERSION_TABLE = "registry_version"


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", "registry.database:migrations")
    config.set_main_option("path_separator", "os")
    return config


@cache
def revisions() -> tuple[str, ...]:
    """List every revision that this version of the code knows, oldest first; it works with the last.

    Alembic imports every revision's file for that, which took half of the time of opening a registry.
    """
    script = ScriptDirectory.from_config(configuration())
    return tuple(known.revision for known in script.walk_revisions())[::-1]


def revision(connection: Connection) -> str | None:
    """Return the revision of a database; None if it holds no registry."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def problem(revision: str, known: Sequence[str]) -> str | None:
    """Describe why a registry of this revision cannot be used, as the end of a sentence; None if it can."""
    newest = known[-1]
    if revision == newest:
        return None
    if revision in known:
        return (
            f"has the schema {revision} of an older version of continual_mt, and this version needs {newest}; "
            "nothing was changed. Make a copy of it, then run: continual-mt registry upgrade"
        )
    return (
        f"has the schema {revision}, which this version of continual_mt (schema {newest}) does not know: "
        "a newer version wrote it. Update continual_mt"
    )


def upgrade(connection: Connection) -> None:
    """Bring the schema to this version's, within the connection's transaction."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
