"""Which score a recipe is shown with: ten thousand are listed without a look at all the others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = ["recipe_digest", "value", "copy_value", "test", "test_digest", "signature", "sentences", "beam", "shown"]


def upgrade() -> None:
    op.add_column("scores", sa.Column("shown", sa.Boolean, nullable=False, server_default=sa.false()))
    scores = sa.table("scores", *map(sa.column, ("id", "metric", "shown", *COLUMNS[:-1])))
    better = scores.c.sentences.desc(), scores.c.value.desc(), scores.c.id
    place = sa.func.row_number().over(partition_by=scores.c.recipe_digest, order_by=better).label("place")
    ranked = sa.select(scores.c.id, place).where(scores.c.metric == "bleu").subquery()
    first = sa.select(ranked.c.id).where(ranked.c.place == 1)
    op.execute(sa.update(scores).where(scores.c.id.in_(first)).values(shown=sa.true()))
    # As SQLAlchemy asks for it, or the index would not be used.
    sqlite, postgresql = sa.text("shown = 1"), sa.text("shown")
    op.create_index("ix_scores_shown", "scores", COLUMNS, sqlite_where=sqlite, postgresql_where=postgresql)


def downgrade() -> None:
    op.drop_index("ix_scores_shown", "scores")
    op.drop_column("scores", "shown")
