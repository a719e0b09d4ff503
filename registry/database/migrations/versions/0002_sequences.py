"""Hypotheses and test sets as blobs; sequences, and what every pair scored at each of their positions.

Going down loses the sequences with their cells, and which blobs hold hypotheses and test sets; not the scores.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DIGEST = sa.String(64)
MOMENT = sa.DateTime(timezone=True)
TEXTS = (("scores", "hypotheses"), ("corpora", "sources"), ("corpora", "references"))
PLACE = ("sequence_id", "position", "view", "source", "target", "test_digest", "metric", "beam")


def upgrade() -> None:
    for table, column in TEXTS:
        # Without a foreign key, which SQLite adds only to a copy of the table.
        op.add_column(table, sa.Column(column, DIGEST, nullable=True))
    op.create_table(
        "sequences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("additions", sa.JSON(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.CheckConstraint("mode IN ('separate', 'shared')", name=op.f("ck_sequences_mode")),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_sequences_parent_id_parents"),
        sa.PrimaryKeyConstraint("id", name="pk_sequences"),
        sa.UniqueConstraint("digest", name="uq_sequences_digest"),
    )
    op.create_index("ix_sequences_parent_id", "sequences", ["parent_id"])
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sequence_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("recipe_digest", DIGEST, nullable=False),
        sa.Column("module", sa.Text(), nullable=True),
        sa.Column("test", sa.Text(), nullable=False),
        sa.Column("test_digest", DIGEST, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("beam", sa.Integer(), nullable=False),
        sa.CheckConstraint("view IN ('routed', 'through', 'shared')", name=op.f("ck_cells_view")),
        sa.ForeignKeyConstraint(["sequence_id"], ["sequences.id"], name="fk_cells_sequence_id_sequences"),
        sa.PrimaryKeyConstraint("id", name="pk_cells"),
        sa.UniqueConstraint(
            "sequence_id",
            "position",
            "view",
            "source",
            "target",
            "test_digest",
            "metric",
            "beam",
            name="uq_cells_place",
        ),
    )


def downgrade() -> None:
    op.drop_table("cells")
    op.drop_index("ix_sequences_parent_id", "sequences")
    op.drop_table("sequences")
    for table, column in reversed(TEXTS):
        op.drop_column(table, column)
