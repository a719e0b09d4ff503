"""The first tables. Going down loses all."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DIGEST = sa.String(64)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "settings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_blobs"),
    )
    create_artifacts()
    create_corpora()
    create_scores()
    create_jobs()


def create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("job", DIGEST, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run", sa.Text(), nullable=True),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('parent', 'module')", name=op.f("ck_artifacts_kind")),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("job", "attempt", name="uq_artifacts_job_attempt"),
    )
    op.create_table(
        "pieces",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_pieces_artifact_id_artifacts"),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name="fk_pieces_digest_blobs"),
        sa.PrimaryKeyConstraint("artifact_id", "name", name="pk_pieces"),
    )
    op.create_index("ix_pieces_digest", "pieces", ["digest"])
    op.create_table(
        "parents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("fingerprint", DIGEST, nullable=False),
        sa.Column("architecture", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["artifacts.id"], name="fk_parents_id_artifacts"),
        sa.PrimaryKeyConstraint("id", name="pk_parents"),
        sa.UniqueConstraint("name", name="uq_parents_name"),
        sa.UniqueConstraint("fingerprint", name="uq_parents_fingerprint"),
    )
    op.create_table(
        "modules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.CheckConstraint("side IN ('source', 'target')", name=op.f("ck_modules_side")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_modules_version")),
        sa.ForeignKeyConstraint(["id"], ["artifacts.id"], name="fk_modules_id_artifacts"),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_modules_parent_id_parents"),
        sa.PrimaryKeyConstraint("id", name="pk_modules"),
        sa.UniqueConstraint(
            "parent_id", "source", "target", "version", name="uq_modules_parent_id_source_target_version"
        ),
    )
    op.create_index("ix_modules_digest", "modules", ["digest"])
    op.create_table(
        "version_counters",
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_version_counters_parent_id_parents"),
        sa.PrimaryKeyConstraint("parent_id", "source", "target", name="pk_version_counters"),
    )


def create_corpora() -> None:
    op.create_table(
        "corpora",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sentences", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_corpora"),
        sa.UniqueConstraint("digest", name="uq_corpora_digest"),
    )
    op.create_table(
        "corpus_uses",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("corpus_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('train', 'dev', 'test')", name=op.f("ck_corpus_uses_role")),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_corpus_uses_artifact_id_artifacts"),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name="fk_corpus_uses_corpus_id_corpora"),
        sa.PrimaryKeyConstraint("artifact_id", "position", name="pk_corpus_uses"),
    )
    op.create_index("ix_corpus_uses_corpus_id", "corpus_uses", ["corpus_id"])


def create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("recipe_digest", DIGEST, nullable=False),
        sa.Column("source_module", sa.Text(), nullable=True),
        sa.Column("cross_attention_module", sa.Text(), nullable=True),
        sa.Column("target_module", sa.Text(), nullable=True),
        sa.Column("test", sa.Text(), nullable=False),
        sa.Column("test_digest", DIGEST, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("copy_value", sa.Double(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("sentences", sa.BigInteger(), nullable=False),
        sa.Column("beam", sa.Integer(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_scores_parent_id_parents"),
        sa.PrimaryKeyConstraint("id", name="pk_scores"),
        sa.UniqueConstraint(
            "recipe_digest",
            "test_digest",
            "metric",
            "signature",
            "beam",
            name="uq_scores_recipe_digest_test_digest_metric_signature_beam",
        ),
    )
    op.create_index("ix_scores_parent_id", "scores", ["parent_id"])


def create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("expires", MOMENT, nullable=True),
        sa.Column("run", sa.Text(), nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('running', 'finished', 'failed', 'stopped')", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("digest", name="pk_jobs"),
    )


def downgrade() -> None:
    children_first = (
        "jobs",
        "scores",
        "corpus_uses",
        "corpora",
        "version_counters",
        "modules",
        "parents",
        "pieces",
        "artifacts",
        "blobs",
        "settings",
    )
    for table in children_first:
        op.drop_table(table)
