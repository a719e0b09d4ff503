"""Modules that bring two new languages or none, and what of another module an addition rests on.

Going down forgets what parts modules rest on, and takes those that bring two languages or none for new sources; earlier
versions cannot load them.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("artifact_inputs") as inputs:
        inputs.add_column(sa.Column("part", sa.Text(), nullable=True))
        inputs.create_check_constraint(
            op.f("ck_artifact_inputs_part"), "part IN ('source', 'cross_attention', 'target')"
        )
    allow("'none', 'source', 'target', 'both'")


def downgrade() -> None:
    modules = sa.table("modules", sa.column("side", sa.Text()))
    op.execute(sa.update(modules).where(modules.c.side.in_(("both", "none"))).values(side="source"))
    allow("'source', 'target'")
    with op.batch_alter_table("artifact_inputs") as inputs:
        inputs.drop_constraint(op.f("ck_artifact_inputs_part"), type_="check")
        inputs.drop_column("part")


def allow(sides: str) -> None:
    with op.batch_alter_table("modules") as modules:
        modules.drop_constraint(op.f("ck_modules_side"), type_="check")
        modules.create_check_constraint(op.f("ck_modules_side"), f"side IN ({sides})")
