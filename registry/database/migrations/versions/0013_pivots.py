"""Pivots among the recipes: each has two other recipes as its legs.

Going down forgets pivots and their scores, which an earlier version would take for recipes of one model.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

LEGS = ("first_leg", "second_leg")


def upgrade() -> None:
    with op.batch_alter_table("recipes") as recipes:
        for leg in LEGS:
            recipes.add_column(sa.Column(leg, sa.String(64), nullable=True))
            recipes.create_foreign_key(op.f(f"fk_recipes_{leg}_recipes"), "recipes", [leg], ["digest"])
            recipes.create_index(op.f(f"ix_recipes_{leg}"), [leg])


def downgrade() -> None:
    for name in ("scores", "recipes"):
        table = sa.table(name, sa.column("kind", sa.Text()))
        op.execute(sa.delete(table).where(table.c.kind == "pivot"))
    with op.batch_alter_table("recipes") as recipes:
        for leg in LEGS:
            recipes.drop_index(op.f(f"ix_recipes_{leg}"))
            recipes.drop_constraint(op.f(f"fk_recipes_{leg}_recipes"), type_="foreignkey")
            recipes.drop_column(leg)
