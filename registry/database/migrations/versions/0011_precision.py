"""The precision in which the weights of a parent or module are stored; that of all earlier ones is float32.

Going down forgets it, and an earlier version cannot read weights in another precision. After going up again they are
taken for float32, which `registry verify --fingerprints` reports.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("precision", sa.Text(), nullable=False, server_default="float32"))


def downgrade() -> None:
    op.drop_column("artifacts", "precision")
