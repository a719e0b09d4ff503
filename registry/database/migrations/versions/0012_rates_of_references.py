"""The off-target rate of the references beside that of the translations; None in other metrics and in earlier scores.

Going down forgets it, and pairs are no longer marked for the wrong language until they are evaluated again.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("scores", sa.Column("reference_value", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("scores", "reference_value")
