"""What a job works on: its spec, what its digest covers, and the folder of its checkpoints.

Going down forgets all three.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("spec", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("identity", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("folder", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("folder", "identity", "spec"):
        op.drop_column("jobs", column)
