"""The languages of parents as rows, so that a parent may have many. Parents of one pair get two.

Corpora of one more role: text of a parent's own languages, from which embeddings of a new one start.

Going down forgets which artifacts used one, and of each parent's languages all but the first of each end.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ROLES = ("train", "dev", "test", "monolingual", "lexicon")
NEW_ROLE = "initialisation"
PARENTS = sa.table("parents", *(sa.column(name) for name in ("id", "name", "source", "target", "denoising")))
SIDES = sa.table("parent_sides", *(sa.column(name) for name in ("parent_id", "end", "tag", "code", "token")))


def upgrade() -> None:
    op.create_table(
        "parent_sides",
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("end", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.CheckConstraint("\"end\" IN ('source', 'target')", name=op.f("ck_parent_sides_end")),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_parent_sides_parent_id_parents"),
        sa.PrimaryKeyConstraint("parent_id", "end", "tag", name="pk_parent_sides"),
    )
    for end in ("source", "target"):
        tag = PARENTS.c[end]
        of_parents = sa.select(PARENTS.c.id, sa.literal(end), tag, tag)
        op.execute(sa.insert(SIDES).from_select(["parent_id", "end", "tag", "code"], of_parents))
    op.add_column("parents", sa.Column("denoising", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_column("parents", "source")
    op.drop_column("parents", "target")
    allow((*ROLES, NEW_ROLE))


def downgrade() -> None:
    for end in ("source", "target"):
        op.add_column("parents", sa.Column(end, sa.Text(), nullable=False, server_default=""))
        first = sa.select(sa.func.min(SIDES.c.tag)).where(SIDES.c.parent_id == PARENTS.c.id, SIDES.c.end == end)
        op.execute(sa.update(PARENTS).values({end: sa.func.coalesce(first.scalar_subquery(), "")}))
    op.drop_column("parents", "denoising")
    op.drop_table("parent_sides")
    uses = sa.table("corpus_uses", sa.column("role", sa.Text()))
    op.execute(sa.delete(uses).where(uses.c.role == NEW_ROLE))
    allow(ROLES)


def allow(roles: Sequence[str]) -> None:
    listed = ", ".join(f"'{role}'" for role in roles)
    with op.batch_alter_table("corpus_uses") as uses:
        uses.drop_constraint(op.f("ck_corpus_uses_role"), type_="check")
        uses.create_check_constraint(op.f("ck_corpus_uses_role"), f"role IN ({listed})")
