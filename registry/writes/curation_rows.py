"""Write aliases, tags, notes and deletion. Each function runs inside its caller's transaction.

Writers take turns (`Database.write`), so what a function reads is unchanged when it writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, select, true
from sqlalchemy.orm import Session

from continual_mt.errors import IncompatibleError, UnknownNameError
from registry.database import schema
from registry.queries.catalog import find_module, find_parent, name_of, raise_if_deleted
from registry.queries.dependents import holding_modules, holding_parent
from registry.records.lineage import Relation
from registry.records.names import AliasName, ModuleName, unknown
from registry.records.values import now

_LISTED = 10


def artifact_row(session: Session, name: str, *, deleted: bool = False) -> schema.Parent | schema.Module:
    """The row of a parent's name or a module's full name. Raises UnknownNameError, also for what was deleted."""
    row = _row(session, name)
    if row is None:
        artifact = schema.Artifact
        there = session.scalars(select(artifact).where(artifact.deleted.is_not(None) if deleted else true()))
        raise unknown("deleted parent or module" if deleted else "parent or module", name, map(name_of, there))
    if not deleted:
        raise_if_deleted(row)
    return row


def move_alias(session: Session, name: AliasName, module: str | None, who: str, expected: int | None) -> None:
    """Set an alias to a module, given by its full name, or remove it; record the move in its history.

    Raises IncompatibleError for a module of another pair or parent, and when the alias is not at the version
    ``expected`` (0: not set).
    """
    key = _parent_row(session, name.parent or "").id, name.pair.source, name.pair.target, name.alias
    row = session.get(schema.Alias, key)
    present = row.module.version if row else None
    if expected is not None and expected != (present or 0):
        raise IncompatibleError(_moved_meanwhile(session, name, present, expected))
    target = artifact_row(session, module) if module else None
    if isinstance(target, schema.Parent) or (target and (target.parent_id, target.source, target.target) != key[:3]):
        raise IncompatibleError(
            f"{name} is an alias of the pair {name.pair} on {name.parent}, and cannot be set to {module}; "
            "an alias belongs to one pair"
        )
    version = target.version if target else None
    if version == present:
        return
    if row is None:
        row = schema.Alias(parent_id=key[0], source=key[1], target=key[2], name=key[3])
    if target is None:
        session.delete(row)
    else:
        row.module_id = target.id
        session.add(row)
    place = {"parent_id": key[0], "source": key[1], "target": key[2], "name": key[3]}
    session.add(schema.AliasMove(**place, from_version=present, to_version=version, who=who, moment=now()))
    session.flush()


def set_tags(session: Session, name: str, tags: Iterable[str]) -> None:
    """Add tags; tags that exist are kept."""
    row = artifact_row(session, name)
    session.add_all(schema.Tag(artifact_id=row.id, tag=tag) for tag in {*tags} - _tags(session, row))
    session.flush()


def remove_tags(session: Session, name: str, tags: Collection[str]) -> None:
    """Raises UnknownNameError for a tag that is not there."""
    row = artifact_row(session, name)
    known = _tags(session, row)
    for tag in tags:
        if tag not in known:
            there_is = f"it has: {', '.join(sorted(known))}" if known else "it has none"
            raise UnknownNameError(f"{name} has no tag {tag[:80]!r}; {there_is}")
    session.execute(delete(schema.Tag).where(schema.Tag.artifact_id == row.id, schema.Tag.tag.in_(tags)))


def _tags(session: Session, row: schema.Artifact) -> set[str]:
    return set(session.scalars(select(schema.Tag.tag).where(schema.Tag.artifact_id == row.id)))


def add_note(session: Session, name: str, text: str, who: str) -> None:
    session.add(schema.Note(artifact_id=artifact_row(session, name).id, text=text, who=who, moment=now()))
    session.flush()


def delete_artifact(session: Session, name: str, who: str) -> None:
    """Hide a parent or module. Raises IncompatibleError, naming what depends on it."""
    row = artifact_row(session, name)
    if isinstance(row, schema.Parent):
        held = holding_parent(session, row.name)
    else:
        held = holding_modules(session, row.parent.name).get(name, [])
    if held:
        raise IncompatibleError(f"{name} cannot be deleted: {_listed(held)}")
    row.deleted, row.deleted_by = now(), who
    session.flush()


def restore_artifact(session: Session, name: str) -> None:
    """Restore a deleted artifact. Raises IncompatibleError if it is not deleted, or if it was made from one that is."""
    row = artifact_row(session, name, deleted=True)
    if row.deleted is None:
        raise IncompatibleError(f"{name} is not deleted, so there is nothing to restore")
    needed = [row.parent.name] if isinstance(row, schema.Module) else []
    needed += [used.module for used in row.inputs if used.module is not None]
    missing = [other for other in needed if (made_from := _row(session, other)) and made_from.deleted is not None]
    if missing:
        first = missing[0]
        raise IncompatibleError(
            f"{name} needs {first}, which was deleted, too; restore that first: continual-mt registry restore {first}"
        )
    row.deleted = row.deleted_by = None
    session.flush()


def _row(session: Session, name: str) -> schema.Parent | schema.Module | None:
    if "/" not in name:
        return find_parent(session, name)
    module = ModuleName.parse(name)
    return find_module(session, module, module.parent or "")


def _parent_row(session: Session, name: str) -> schema.Parent:
    row = artifact_row(session, name)
    if not isinstance(row, schema.Parent):
        raise IncompatibleError(f"{name_of(row)} is no parent")
    return row


def _moved_meanwhile(session: Session, name: AliasName, present: int | None, expected: int) -> str:
    move = schema.AliasMove
    last = session.scalars(
        select(move)
        .where(move.source == name.pair.source, move.target == name.pair.target, move.name == name.alias)
        .where(move.parent_id == _parent_row(session, name.parent or "").id)
        .order_by(move.id.desc())
    ).first()
    by = f", where {last.who} moved it at {last.moment:%Y-%m-%d %H:%M:%S} UTC" if last else ""
    return (
        f"{name} is {_at(present)}{by}; it was expected {_at(expected)}, so it stays. "
        "Look at what was decided, then ask again"
    )


def _at(version: int | None) -> str:
    return f"at version {version}" if version else "at none"


def _listed(held: Sequence[Relation]) -> str:
    """Describe what depends on an artifact, and how to remove the dependency."""
    lines = [
        f"{relation.name} {'is set to it' if relation.role == 'alias' else relation.detail or 'needs it'}"
        for relation in held[:_LISTED]
    ]
    more = f" and {len(held) - _LISTED:,} more" if len(held) > _LISTED else ""
    verbs = {"alias": "move or remove the alias", "module": "delete the module", "parent": "delete the parent"}
    ways = " and ".join(dict.fromkeys(verbs[relation.role] for relation in held))
    return f"{', '.join(lines)}{more}; {ways} first"
