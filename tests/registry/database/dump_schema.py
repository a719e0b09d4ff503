"""The tables as a database describes them, noted in ``schema/`` beside this file so that every change of them is seen.

``python -m tests.registry.database.dump_schema`` rewrites the files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from sqlalchemy import Connection, inspect

from registry import Registry
from registry.database import migration
from tests.registry.backends import Backend, InPostgreSQL, InSQLite
from tests.registry.database.revisions import changing
from tests.registry.server import Server

_FOLDER = Path(__file__).parent / "schema"


def dump(connection: Connection) -> str:
    """Tables with columns, constraints and indexes, in an order that does not depend on how they were made."""
    tables = [name for name in sorted(inspect(connection).get_table_names()) if name != migration.VERSION_TABLE]
    return "\n".join(_table(connection, name) for name in tables)


def noted(backend: str) -> str:
    return (_FOLDER / f"{backend}.txt").read_text(encoding="utf-8")


def _table(connection: Connection, name: str) -> str:
    found = inspect(connection)
    lines = [
        f"  {column['name']} {column['type'].compile(connection.dialect)}"
        + ("" if column["nullable"] else " NOT NULL")
        + (f" DEFAULT {column['default']}" if column["default"] else "")
        for column in sorted(found.get_columns(name), key=lambda column: column["name"])
    ]
    key = found.get_pk_constraint(name)
    lines.append(f"  {key['name']} PRIMARY KEY ({', '.join(key['constrained_columns'])})")
    lines += sorted(
        f"  {key['name']} FOREIGN KEY ({', '.join(key['constrained_columns'])}) "
        f"REFERENCES {key['referred_table']} ({', '.join(key['referred_columns'])})"
        + "".join(f" {option.upper()} {value}" for option, value in sorted(key.get("options", {}).items()))
        for key in found.get_foreign_keys(name)
    )
    lines += sorted(
        f"  {unique['name']} UNIQUE ({', '.join(unique['column_names'])})"
        for unique in found.get_unique_constraints(name)
    )
    lines += sorted(f"  {check['name']} CHECK ({check['sqltext']})" for check in found.get_check_constraints(name))
    lines += sorted(
        f"  {index['name']} {'UNIQUE ' if index['unique'] else ''}INDEX ({', '.join(map(str, index['column_names']))})"
        + "".join(
            f" WHERE {is_so}" for kind, is_so in index.get("dialect_options", {}).items() if kind.endswith("where")
        )
        for index in found.get_indexes(name)
        if "duplicates_constraint" not in index
    )
    return "\n".join([name, *lines, ""])


def main() -> None:
    server = Server()
    backends: list[Backend] = [InSQLite(), InPostgreSQL(server)]
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            with backend.at(Path(folder) / backend.name / "home") as home:
                backend.create(home)
                Registry.open(home, create=True).close()
                with changing(home) as connection:
                    (_FOLDER / f"{backend.name}.txt").write_text(dump(connection), encoding="utf-8")
    server.remove()


if __name__ == "__main__":
    main()
