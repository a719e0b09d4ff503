"""Read the annotations of a parent and its modules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from registry.database import schema
from registry.database.row_mapping import alias_move
from registry.queries.catalog import parent_id
from registry.records.annotations import AliasMove, Annotations, NoteRecord
from registry.records.names import full_name


def annotations_of(session: Session, parent: str) -> dict[str, Annotations]:
    """Return annotations by full name or the parent's name; artifacts without any are left out."""
    names = _names(session, parent)
    own = parent_id(parent)
    artifact, module = schema.Artifact.__table__.c, schema.Module.__table__.c
    on_parent = select(module.id).where(module.parent_id == own)
    of_parent = select(artifact.id).where(or_(artifact.id.in_(on_parent), artifact.id == own))
    moves: dict[str, list[AliasMove]] = defaultdict(list)
    for row in session.scalars(
        select(schema.AliasMove).where(schema.AliasMove.parent_id == own).order_by(schema.AliasMove.id)
    ):
        move = alias_move(row)
        for version in {move.from_version, move.to_version}:
            if version is not None:
                moves[full_name(parent, move.pair.source, move.pair.target, version)].append(move)
    found = annotations_by_id(session, of_parent)
    by_name = {names[key]: annotations for key, annotations in found.items()}
    for name, history in moves.items():
        known = by_name.get(name, Annotations())
        by_name[name] = Annotations(known.aliases, known.tags, known.notes, tuple(history))
    return by_name


def annotations_by_id(session: Session, ids: Collection[int] | Select[tuple[int]]) -> dict[int, Annotations]:
    """Aliases, tags and notes of artifacts by their keys."""
    alias, tag, note = schema.Alias, schema.Tag, schema.Note
    aliases: dict[int, list[str]] = defaultdict(list)
    for key, name in session.execute(
        select(alias.module_id, alias.name).where(alias.module_id.in_(ids)).order_by(alias.name)
    ):
        aliases[key].append(name)
    tags: dict[int, list[str]] = defaultdict(list)
    for key, word in session.execute(
        select(tag.artifact_id, tag.tag).where(tag.artifact_id.in_(ids)).order_by(tag.tag)
    ):
        tags[key].append(word)
    notes: dict[int, list[NoteRecord]] = defaultdict(list)
    for key, text, who, moment in session.execute(
        select(note.artifact_id, note.text, note.who, note.moment).where(note.artifact_id.in_(ids)).order_by(note.id)
    ):
        notes[key].append(NoteRecord(text, who, moment))
    return {
        key: Annotations(tuple(aliases[key]), tuple(tags[key]), tuple(notes[key])) for key in {*aliases, *tags, *notes}
    }


def _names(session: Session, parent: str) -> dict[int, str]:
    """Full names by key, from the bare tables: there may be thousands."""
    module, own = schema.Module.__table__.c, schema.Parent.__table__.c
    rows = session.execute(
        select(module.id, module.source, module.target, module.version).where(module.parent_id == parent_id(parent))
    )
    names = {key: full_name(parent, source, target, version) for key, source, target, version in rows}
    return names | dict.fromkeys(session.scalars(select(own.id).where(own.name == parent)), parent)
