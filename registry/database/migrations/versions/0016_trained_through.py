"""Inputs of one more role: what a module was trained through, and does not run with.

Going down forgets these inputs.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ROLES = ("start", "replayed", "rests-on", "initialised-from", "translated-by", "quantised-from")
NEW_ROLE = "trained-through"


def upgrade() -> None:
    allow((*ROLES, NEW_ROLE))


def downgrade() -> None:
    inputs = sa.table("artifact_inputs", sa.column("role", sa.Text()))
    op.execute(sa.delete(inputs).where(inputs.c.role == NEW_ROLE))
    allow(ROLES)


def allow(roles: Sequence[str]) -> None:
    listed = ", ".join(f"'{role}'" for role in roles)
    with op.batch_alter_table("artifact_inputs") as inputs:
        inputs.drop_constraint(op.f("ck_artifact_inputs_role"), type_="check")
        inputs.create_check_constraint(op.f("ck_artifact_inputs_role"), f"role IN ({listed})")
