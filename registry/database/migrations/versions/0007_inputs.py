"""Typed lineage: what an artifact was made from as rows, its environment and share of replay as columns.

Until now these were the keys ``start``, ``replayed``, ``replay`` and ``environment`` in the spec's JSON. Scores can
note the digest of their logits and what computed it; cells can be marked as carried over from an earlier position.

Going down writes the keys into the spec again. It loses inputs of other roles, the digests of inputs, the logits noted
with scores, and which cells were carried.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

DIGEST = sa.String(64)
ROLES = "'start', 'replayed', 'rests-on', 'initialised-from', 'translated-by', 'quantised-from'"


def upgrade() -> None:
    op.create_table(
        "artifact_inputs",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=True),
        sa.Column("digest", DIGEST, nullable=True),
        sa.Column("recipe", DIGEST, nullable=True),
        sa.CheckConstraint(f"role IN ({ROLES})", name=op.f("ck_artifact_inputs_role")),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name="fk_artifact_inputs_artifact_id_artifacts"),
        sa.PrimaryKeyConstraint("artifact_id", "position", name="pk_artifact_inputs"),
    )
    op.create_index("ix_artifact_inputs_module", "artifact_inputs", ["module"])
    op.add_column("artifacts", sa.Column("environment", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("artifacts", sa.Column("replay", sa.Double(), nullable=True))
    op.add_column("scores", sa.Column("logits", DIGEST, nullable=True))
    op.add_column("scores", sa.Column("computed_on", sa.Text(), nullable=True))
    op.add_column("cells", sa.Column("carried", sa.Boolean(), nullable=False, server_default=sa.false()))
    move_out_of_specs()


def tables() -> tuple[sa.Table, sa.Table]:
    found = sa.MetaData()
    return (
        sa.Table(
            "artifacts",
            found,
            sa.Column("id", sa.Integer),
            sa.Column("spec", sa.JSON),
            sa.Column("environment", sa.JSON(none_as_null=True)),
            sa.Column("replay", sa.Double),
        ),
        sa.Table(
            "artifact_inputs",
            found,
            *(sa.Column(name, sa.Integer) for name in ("artifact_id", "position")),
            *(sa.Column(name, sa.Text) for name in ("role", "module", "digest", "recipe")),
        ),
    )


def move_out_of_specs() -> None:
    connection = op.get_bind()
    artifacts, inputs = tables()
    digests = digests_by_name(connection)
    for key, spec in connection.execute(sa.select(artifacts.c.id, artifacts.c.spec)).all():
        rest, values = dict(spec), {}
        environment, replay = rest.get("environment"), rest.get("replay")
        if isinstance(environment, dict):
            values["environment"] = rest.pop("environment")
        if isinstance(replay, int | float) and not isinstance(replay, bool):
            values["replay"] = float(rest.pop("replay"))
        found = list(inputs_in(rest))
        if not values and not found:
            continue
        connection.execute(sa.update(artifacts).where(artifacts.c.id == key).values(spec=rest, **values))
        for position, (role, name) in enumerate(found):
            row = {"artifact_id": key, "position": position, "role": role, "module": name, "digest": digests.get(name)}
            connection.execute(sa.insert(inputs).values(row))


def inputs_in(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Take the names of inputs out of a spec. Keys with other values were never written by a job, and stay."""
    if isinstance(spec.get("start"), str):
        yield "start", spec.pop("start")
    names = spec.get("replayed")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        yield from (("replayed", name) for name in spec.pop("replayed"))


def digests_by_name(connection: sa.Connection) -> Mapping[str, str]:
    """The fingerprints of parents and the digests of modules, by the names that specs use."""
    parents = {row.id: row for row in connection.execute(sa.text("SELECT id, name, fingerprint FROM parents"))}
    found = {row.name: row.fingerprint for row in parents.values()}
    for row in connection.execute(sa.text("SELECT parent_id, source, target, version, digest FROM modules")):
        found[f"{parents[row.parent_id].name}/{row.source}-{row.target}:{row.version}"] = row.digest
    return found


def downgrade() -> None:
    move_into_specs()
    op.drop_column("cells", "carried")
    op.drop_column("scores", "computed_on")
    op.drop_column("scores", "logits")
    op.drop_column("artifacts", "replay")
    op.drop_column("artifacts", "environment")
    op.drop_index("ix_artifact_inputs_module", "artifact_inputs")
    op.drop_table("artifact_inputs")


def move_into_specs() -> None:
    connection = op.get_bind()
    artifacts, inputs = tables()
    for row in connection.execute(sa.select(artifacts)).all():
        query = sa.select(inputs.c.role, inputs.c.module).where(inputs.c.artifact_id == row.id)
        named = connection.execute(query.where(inputs.c.module.is_not(None)).order_by(inputs.c.position)).all()
        start, replayed = ([name for role, name in named if role == wanted] for wanted in ("start", "replayed"))
        keys: dict[str, Any] = {} if row.environment is None else {"environment": row.environment}
        keys |= {"start": start[0]} if start else {}
        keys |= {} if row.replay is None else {"replay": row.replay}
        keys |= {"replayed": replayed} if replayed else {}
        if keys:
            connection.execute(sa.update(artifacts).where(artifacts.c.id == row.id).values(spec=row.spec | keys))
