"""Aliases with their history, tags and notes, deletion that can be undone, recipes by digest, and keys to find modules.

Downgrading forgets aliases, tags, notes and recipes, and what was deleted is there again.
"""

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DIGEST = sa.String(64)
MOMENT = sa.DateTime(timezone=True)
PLACE = ("parent_id", "source", "target", "name")


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("deleted", MOMENT, nullable=True))
    op.add_column("artifacts", sa.Column("deleted_by", sa.Text(), nullable=True))
    create_module_keys()
    create_recipes()
    create_aliases()
    create_remarks()


def create_module_keys() -> None:
    op.add_column("modules", sa.Column("shared", sa.Boolean(), nullable=True))
    op.add_column("modules", sa.Column("recipe_digest", DIGEST, nullable=True))
    fill_module_keys()
    with op.batch_alter_table("modules") as modules:
        modules.alter_column("shared", nullable=False)
        modules.alter_column("recipe_digest", nullable=False)
        modules.create_index("ix_modules_recipe_digest", ["recipe_digest"])


def fill_module_keys() -> None:
    connection = op.get_bind()
    modules = sa.Table("modules", sa.MetaData(), autoload_with=connection)
    artifacts = sa.Table("artifacts", modules.metadata, autoload_with=connection)
    parents = sa.Table("parents", modules.metadata, autoload_with=connection)
    rows = connection.execute(
        sa.select(modules, artifacts.c.spec, parents.c.fingerprint)
        .join(artifacts, artifacts.c.id == modules.c.id)
        .join(parents, parents.c.id == modules.c.parent_id)
    ).all()
    for row in rows:
        keys = {
            "shared": not {"start", "replay"}.isdisjoint(row.spec),
            "recipe_digest": supervised_recipe(row.fingerprint, row.digest, row.side, row.scope),
        }
        connection.execute(sa.update(modules).where(modules.c.id == row.id).values(keys))


def supervised_recipe(fingerprint: str, digest: str, side: str, scope: str) -> str:
    """As `continual_mt.artifacts.recipe.Recipe.digest` was when this revision was made."""
    contents = [
        digest if side == "source" or scope == "scratch" else None,
        digest if scope != "embeddings" else None,
        digest if side == "target" or scope == "scratch" else None,
    ]
    return hashlib.sha256(json.dumps([fingerprint, *contents]).encode()).hexdigest()


def create_recipes() -> None:
    op.create_table(
        "recipes",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("source_module", sa.Text(), nullable=True),
        sa.Column("cross_attention_module", sa.Text(), nullable=True),
        sa.Column("target_module", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_recipes_parent_id_parents"),
        sa.PrimaryKeyConstraint("digest", name="pk_recipes"),
    )
    op.create_index("ix_recipes_parent_id", "recipes", ["parent_id"])
    op.create_index("ix_scores_best", "scores", ["recipe_digest", "metric", "sentences", "value", "test"])
    op.create_index("ix_scores_source_target", "scores", ["source", "target"])
    columns = "parent_id, kind, source, target, source_module, cross_attention_module, target_module"
    op.execute(
        f"INSERT INTO recipes (digest, {columns}) SELECT recipe_digest, {columns} FROM scores "
        "WHERE id IN (SELECT min(id) FROM scores GROUP BY recipe_digest)"
    )


def create_aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("module_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_aliases_parent_id_parents"),
        sa.ForeignKeyConstraint(["module_id"], ["modules.id"], name="fk_aliases_module_id_modules"),
        sa.PrimaryKeyConstraint(*PLACE, name="pk_aliases"),
    )
    op.create_index("ix_aliases_module_id", "aliases", ["module_id"])
    op.create_table(
        "alias_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=True),
        sa.Column("to_version", sa.Integer(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("moment", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["parents.id"], name="fk_alias_moves_parent_id_parents"),
        sa.PrimaryKeyConstraint("id", name="pk_alias_moves"),
    )
    op.create_index("ix_alias_moves_parent_id_source_target_name", "alias_moves", PLACE)


def create_remarks() -> None:
    op.create_table(
        "tags",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_tags_artifact_id_artifacts"),
        sa.PrimaryKeyConstraint("artifact_id", "tag", name="pk_tags"),
    )
    op.create_index("ix_tags_tag", "tags", ["tag"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("moment", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_notes_artifact_id_artifacts"),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("ix_notes_artifact_id", "notes", ["artifact_id"])


def downgrade() -> None:
    for table in ("notes", "tags", "alias_moves", "aliases", "recipes"):
        op.drop_table(table)
    op.drop_index("ix_scores_source_target", "scores")
    op.drop_index("ix_scores_best", "scores")
    with op.batch_alter_table("modules") as modules:
        modules.drop_index("ix_modules_recipe_digest")
        modules.drop_column("recipe_digest")
        modules.drop_column("shared")
    op.drop_column("artifacts", "deleted_by")
    op.drop_column("artifacts", "deleted")
