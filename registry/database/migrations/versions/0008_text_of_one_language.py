"""Corpora of two more roles: text of one language, for a tokenizer, and lexicons, from which embeddings start.

Going down forgets which of these an artifact used.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ROLES = ("train", "dev", "test")
NEW_ROLES = ("monolingual", "lexicon")


def upgrade() -> None:
    allow(ROLES + NEW_ROLES)


def downgrade() -> None:
    uses = sa.table("corpus_uses", sa.column("role", sa.Text()))
    op.get_bind().execute(sa.delete(uses).where(uses.c.role.in_(NEW_ROLES)))
    allow(ROLES)


def allow(roles: Sequence[str]) -> None:
    listed = ", ".join(f"'{role}'" for role in roles)
    with op.batch_alter_table("corpus_uses") as uses:
        uses.drop_constraint(op.f("ck_corpus_uses_role"), type_="check")
        uses.create_check_constraint(op.f("ck_corpus_uses_role"), f"role IN ({listed})")
