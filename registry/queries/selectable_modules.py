"""The modules that recipes can be made of, and what their versions are selected by: queries in a caller's session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn
from continual_mt.languages import Pair
from registry.database import schema
from registry.queries.catalog import parent_id
from registry.queries.version_selection import CHAMPION
from registry.records.artifacts import ModuleOutline, ParentOutline
from registry.records.lineage import Input, rests_on
from registry.records.names import ModuleName, full_name


def same_content(session: Session, parent: str, name: str | None) -> list[ModuleKey | None]:
    """Return the module of this name, then others of its pair: the same content may exist under several versions."""
    if name is None:
        return [None]
    pair, module = ModuleName.parse(name).pair, schema.Module
    rows = session.execute(
        select(module.version, module.digest).where(
            module.parent_id == parent_id(parent),
            module.source == pair.source,
            module.target == pair.target,
            module.deleted.is_(None),
        )
    )
    keys = [ModuleKey(full_name(parent, pair.source, pair.target, version), digest) for version, digest in rows]
    return [*sorted(keys, key=lambda key: key.name != name)]  # mostly the first is the one


def versions_of(session: Session, parent: ParentOutline, pair: Pair | None, *, newest: bool) -> list[ModuleOutline]:
    """Read the modules that may be selected without being named: all but those of shared sequences.

    With ``pair`` only those that recipes of the pair may have: modules that bring a language of it, or connect both, or
    are of a leg of its pivots. With ``newest``, which is enough where nothing else decides, only the newest version of
    each pair is read, and the newest of those that share pieces with the parent.
    """
    module, there = schema.Module, [*_there(parent, pair), schema.Module.shared.is_(False)]
    if newest:
        kind = module.source, module.target, module.scope == "scratch", module.side == "none"
        last = select(*kind, func.max(module.version)).where(*there).group_by(*kind).correlate(None)
        there.append(tuple_(*kind, module.version).in_(last))
    return _outlines(session, parent.name, there)


def champions_of(session: Session, parent: ParentOutline, pair: Pair | None) -> dict[Pair, ModuleOutline]:
    champion = schema.Module.id.in_(select(schema.Alias.module_id).where(schema.Alias.name == CHAMPION))
    return {module.pair: module for module in _outlines(session, parent.name, [*_there(parent, pair), champion])}


def _there(parent: ParentOutline, pair: Pair | None) -> list[ColumnElement[bool]]:
    """That a module is the parent's, not deleted, and may have a part in the pair where one is given."""
    module = schema.Module
    there = [module.parent_id == parent_id(parent.name), module.deleted.is_(None)]
    if pair is None:
        return there
    return [*there, or_(_brings_one_of(pair), *_is_leg_of(pair, parent, there))]


def _is_leg_of(
    pair: Pair, parent: ParentOutline, there: Sequence[ColumnElement[bool]]
) -> Iterator[ColumnElement[bool]]:
    """That a module is of a leg of the pair's pivots: one that meets another module, or a pair of the parent."""
    module = schema.Module
    into, out = select(module.target).where(*there), select(module.source).where(*there)
    as_source, as_target = module.source == pair.source, module.target == pair.target
    yield and_(as_source, module.target.in_(out.where(as_target).correlate(None)))
    yield and_(as_target, module.source.in_(into.where(as_source).correlate(None)))
    own = parent.languages
    if own.side("target", pair.target) is not None:
        yield and_(as_source, module.target.in_(own.tags("source")))
    if own.side("source", pair.source) is not None:
        yield and_(as_target, module.source.in_(own.tags("target")))


def _brings_one_of(pair: Pair) -> ColumnElement[bool]:
    """That a module brings a language of the pair, or connects both."""
    module = schema.Module
    as_source, as_target = module.source == pair.source, module.target == pair.target
    return or_(
        and_(module.side.in_(("source", "both")), as_source),
        and_(module.side.in_(("target", "both")), as_target),
        and_(as_source, as_target),
    )


def _outlines(session: Session, parent: str, conditions: Iterable[ColumnElement[bool]]) -> list[ModuleOutline]:
    module = schema.Module
    columns = module.id, module.source, module.target, module.version, module.side, module.scope, module.digest
    conditions = list(conditions)
    rows = session.execute(select(*columns).where(*conditions)).all()
    rests_on = _rests_on(session, conditions) if rows else {}
    return [
        ModuleOutline(
            parent,
            Pair(source, target),
            version,
            side,
            scope,
            digest,
            rests_on=rests_on.get(place, PARENT_ALONE),
            place=place,
        )
        for place, source, target, version, side, scope, digest in rows
    ]


def _rests_on(session: Session, conditions: Iterable[ColumnElement[bool]]) -> dict[int, RestsOn[ModuleKey]]:
    """What the modules rest on that meet the conditions, by key; without those that rest on the parent alone."""
    used, module = schema.ArtifactInput, schema.Module
    query = select(used.artifact_id, used.role, used.module, used.digest, used.part)
    query = query.join(module, module.id == used.artifact_id).where(*conditions, used.part.is_not(None))
    found: dict[int, list[Input]] = defaultdict(list)
    for key, role, name, digest, part in session.execute(query):
        found[key].append(Input(role, name, digest, part=part))
    return {key: rests_on(inputs) for key, inputs in found.items()}
