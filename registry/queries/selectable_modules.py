"""The modules that recipes can be made of, and what their versions are selected by: queries in a caller's session."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.languages import Pair
from registry.database import schema
from registry.queries.catalog import parent_id
from registry.queries.score_conditions import is_metric, is_plain
from registry.queries.version_selection import CHAMPION
from registry.records.artifacts import ModuleOutline
from registry.records.names import ModuleName, full_name, unknown
from registry.records.pairs import BEST_METRIC


def candidates(session: Session, parent: str, name: str | None) -> list[ModuleKey | None]:
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


def versions_of(session: Session, parent: str, pair: Pair | None, *, newest: bool) -> list[ModuleOutline]:
    """Read the modules that may be selected without being named: all but those of shared sequences.

    With ``newest``, which is enough where nothing else decides, only the newest version of each pair is read, and the
    newest of those that share pieces with the parent.
    """
    module, there = schema.Module, [*_there(parent, pair), schema.Module.shared.is_(False)]
    if newest:
        kind = module.source, module.target, module.scope == "scratch"
        last = select(*kind, func.max(module.version)).where(*there).group_by(*kind).correlate(None)
        there.append(tuple_(*kind, module.version).in_(last))
    return _outlines(session, parent, there)


def champions_of(session: Session, parent: str, pair: Pair | None) -> dict[Pair, ModuleOutline]:
    champion = schema.Module.id.in_(select(schema.Alias.module_id).where(schema.Alias.name == CHAMPION))
    return {module.pair: module for module in _outlines(session, parent, [*_there(parent, pair), champion])}


def _there(parent: str, pair: Pair | None) -> list[ColumnElement[bool]]:
    """That a module is the parent's, not deleted, and brings a language of the pair where one is given."""
    module = schema.Module
    there = [module.parent_id == parent_id(parent), module.deleted.is_(None)]
    return there if pair is None else [*there, _brings_one_of(pair)]


def _brings_one_of(pair: Pair) -> ColumnElement[bool]:
    module = schema.Module
    as_source = and_(module.side == "source", module.source == pair.source)
    return or_(as_source, and_(module.side == "target", module.target == pair.target))


def _outlines(session: Session, parent: str, conditions: Iterable[ColumnElement[bool]]) -> list[ModuleOutline]:
    module = schema.Module
    columns = module.source, module.target, module.version, module.side, module.scope, module.digest
    return [
        ModuleOutline(parent, Pair(source, target), version, side, scope, digest)
        for source, target, version, side, scope, digest in session.execute(select(*columns).where(*conditions))
    ]


def scores_on(session: Session, parent: str, test: str, pair: Pair | None) -> dict[tuple[Pair, int], float]:
    """What each version reached on its own pair's test set of this name. Raises UnknownNameError where none has."""
    module, score = schema.Module, schema.Score
    of_parent = (
        select(module.source, module.target, module.version, func.max(score.value))
        .join(score, score.recipe_digest == module.recipe_digest)
        .where(module.parent_id == parent_id(parent), is_metric(score.metric, BEST_METRIC), is_plain(score.signature))
    )
    query = of_parent.where(score.test == test).group_by(module.source, module.target, module.version)
    if pair is not None:
        query = query.where(_brings_one_of(pair))
    found = {(Pair(source, target), version): value for source, target, version, value in session.execute(query)}
    if not found:
        tests = select(score.test).where(score.parent_id == parent_id(parent)).distinct()
        if test not in (known := set(session.scalars(tests))):
            raise unknown("test set", test, known)
    return found
