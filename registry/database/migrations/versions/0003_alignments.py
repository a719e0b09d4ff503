"""How well two embedding tables align. Going down loses the alignments that were kept."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DIGEST = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "alignments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("first_language", sa.Text(), nullable=False),
        sa.Column("first_module", sa.Text(), nullable=True),
        sa.Column("first_digest", DIGEST, nullable=False),
        sa.Column("second_language", sa.Text(), nullable=False),
        sa.Column("second_module", sa.Text(), nullable=True),
        sa.Column("second_digest", DIGEST, nullable=False),
        sa.Column("lexicon", sa.Text(), nullable=False),
        sa.Column("lexicon_digest", DIGEST, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('source', 'target')", name=op.f("ck_alignments_side")),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_alignments_parent_id_parents"),
        sa.ForeignKeyConstraint(["lexicon_digest"], ["blobs.digest"], name="fk_alignments_lexicon_digest_blobs"),
        sa.PrimaryKeyConstraint("id", name="pk_alignments"),
        sa.UniqueConstraint(
            "parent_id",
            "first_language",
            "first_digest",
            "second_language",
            "second_digest",
            "lexicon_digest",
            name="uq_alignments_measured",
        ),
    )


def downgrade() -> None:
    op.drop_table("alignments")
