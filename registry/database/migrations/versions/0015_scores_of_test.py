"""An index of BLEU scores by the name of their test set, which choosing between kinds of recipe looks up.

Going down drops it, and such choices are slower.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NAME, _BLEU = "ix_scores_of_test", sa.text("metric = 'bleu'")


def upgrade() -> None:
    columns = ["test", "source", "target", "kind", "parent_id"]
    op.create_index(_NAME, "scores", columns, sqlite_where=_BLEU, postgresql_where=_BLEU)


def downgrade() -> None:
    op.drop_index(_NAME, table_name="scores")
