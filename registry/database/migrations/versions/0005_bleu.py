"""An index of BLEU alone, so that the best score of each of ten thousand recipes is found in a third of the memory."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

BLEU = sa.text("metric = 'bleu'")


def upgrade() -> None:
    columns = ["recipe_digest", "sentences", "value", "test"]
    op.create_index("ix_scores_bleu", "scores", columns, sqlite_where=BLEU, postgresql_where=BLEU)
    op.drop_index("ix_scores_best", "scores")


def downgrade() -> None:
    op.create_index("ix_scores_best", "scores", ["recipe_digest", "metric", "sentences", "value", "test"])
    op.drop_index("ix_scores_bleu", "scores")
