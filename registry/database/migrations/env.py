"""Run by Alembic for each command, with the connection that `registry.database.migration` hands over."""

from alembic import context

from registry.database.base import Base
from registry.database.migration import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # SQLite cannot change most of a table in place: Alembic then copies it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
