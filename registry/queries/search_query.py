"""A search as one query, which the database answers without a look at more than the fields that it names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    and_,
    cast,
    exists,
    false,
    func,
    not_,
    null,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import Text

from continual_mt.evaluation.metric_names import METRICS
from continual_mt.languages import Pair
from registry.database import schema
from registry.database.row_mapping import module_record, parent_record
from registry.queries.annotations import annotations_by_id
from registry.queries.score_conditions import is_metric, is_plain
from registry.queries.search_syntax import TEST, Comparison, Condition, Query
from registry.records.annotations import Annotations, Deletion, Found, SearchResult
from registry.records.pairs import BEST_METRIC

_COMPARE: Mapping[Comparison, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": lambda column, value: column.is_distinct_from(value),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# Bare tables, since two mapped kinds of artifact cannot well be joined.
_artifact = schema.Artifact.__table__
_module = schema.Module.__table__
_parent = schema.Parent.__table__
_side = schema.ParentSide.__table__
_score = schema.Score.__table__
_Column = ColumnElement[Any]
_LANGUAGES = ("pair", "source", "target", "language")


@dataclass(frozen=True)
class _Kind:
    """Where the fields of modules, or of parents, are; what parents do not have is missing.

    ``names`` are columns of which one may agree, ``has_language`` is whether a field of languages, or the pair, has a
    value, and ``is_own`` whether a digest is that of the own pair's recipe, of a parent that of any of its pairs.
    """

    rows: FromClause
    key: _Column
    columns: Mapping[str, _Column]
    digest: _Column
    is_own: Callable[[_Column], ColumnElement[bool]]
    names: Sequence[_Column]
    has_language: Callable[[str, str], ColumnElement[bool]]
    order: Sequence[_Column]


def _columns() -> dict[str, _Column]:
    of_artifact = {field: _artifact.c[field] for field in ("kind", "run", "job", "parameters", "bytes", "precision")}
    return {**of_artifact, "parent": _parent.c.name, "code": _artifact.c.code_version}


def _of_modules() -> _Kind:
    columns = _columns() | {field: _module.c[field] for field in ("side", "scope", "shared", "version")}
    pair = _module.c.source + "-" + _module.c.target
    languages: dict[str, _Column] = {"pair": pair, "source": _module.c.source, "target": _module.c.target}

    def has_language(field: str, value: str) -> ColumnElement[bool]:
        return languages[field] == value if field in languages else _brings(value)

    name = pair + ":" + cast(_module.c.version, Text)
    return _Kind(
        rows=_module.join(_artifact, _artifact.c.id == _module.c.id).join(_parent, _parent.c.id == _module.c.parent_id),
        key=_module.c.id,
        columns=columns,
        digest=_module.c.digest,
        is_own=lambda digest: digest == _module.c.recipe_digest,
        names=(name, _parent.c.name + "/" + name),
        has_language=has_language,
        # As the index of versions is, so that nothing has to be sorted.
        order=(_module.c.parent_id, _module.c.source, _module.c.target, _module.c.version),
    )


def _brings(language: str) -> ColumnElement[bool]:
    """Whether a language is new with a module; a bridge brings none."""
    return or_(
        and_(_module.c.side.in_(("source", "both")), _module.c.source == language),
        and_(_module.c.side.in_(("target", "both")), _module.c.target == language),
    )


def _of_parents() -> _Kind:
    recipe = schema.Recipe.__table__
    originals = select(recipe.c.digest).where(recipe.c.parent_id == _parent.c.id, recipe.c.kind == "original")
    return _Kind(
        rows=_parent.join(_artifact, _artifact.c.id == _parent.c.id),
        key=_parent.c.id,
        columns=_columns(),
        digest=_parent.c.fingerprint,
        is_own=lambda digest: digest.in_(originals.correlate(_parent)),
        names=(_parent.c.name,),
        has_language=_parent_has,
        order=(_parent.c.id,),
    )


def _parent_has(field: str, value: str) -> ColumnElement[bool]:
    """Whether a parent has a language, on one end or on either, or both languages of a pair."""
    if field == "pair":
        pair = Pair.parse(value)
        both = _parent_has("source", pair.source), _parent_has("target", pair.target)
        return and_(*both, _parent.c.denoising.is_(False))
    sides = select(_side.c.parent_id).where(or_(_side.c.tag == value, _side.c.code == value))
    return _parent.c.id.in_(sides if field == "language" else sides.where(_side.c.end == field))


_MODULES, _PARENTS = _of_modules(), _of_parents()


def found_by(session: Session, query: Query, limit: int | None) -> SearchResult:
    """The first that fulfil all conditions, and how many do; of no more than the first are records built."""
    keys: list[int] = []
    for kind in (_PARENTS, _MODULES):
        wanted = select(kind.key).select_from(kind.rows).where(*_conditions(kind, query)).order_by(*kind.order)
        keys += session.scalars(wanted)
    return SearchResult(len(keys), tuple(_found(session, keys[:limit], query.test)))


def _found(session: Session, keys: Sequence[int], test: str | None) -> Iterator[Found]:
    annotations = annotations_by_id(session, keys)
    bleu = {key: value for kind in (_PARENTS, _MODULES) for key, value in _bleu(session, kind, keys, test)}
    modules = {row.id: row for row in session.scalars(select(schema.Module).where(schema.Module.id.in_(keys)))}
    parents = {row.id: row for row in session.scalars(select(schema.Parent).where(schema.Parent.id.in_(keys)))}
    for key in keys:
        row = modules.get(key) or parents[key]
        record = module_record(row) if isinstance(row, schema.Module) else parent_record(row)
        deletion = Deletion(row.deleted_by or "", row.deleted) if row.deleted else None
        yield Found(record, annotations.get(key, Annotations()), deletion, bleu.get(key))


def _bleu(session: Session, kind: _Kind, keys: Sequence[int], test: str | None) -> list[tuple[int, float]]:
    """The own pair's BLEU by key. What `RecipeCatalog.pairs` would show comes last."""
    query = (
        select(kind.key, _score.c.value)
        .select_from(kind.rows.join(_score, kind.is_own(_score.c.recipe_digest)))
        .where(kind.key.in_(keys), is_metric(_score.c.metric, BEST_METRIC), _on(test), is_plain(_score.c.signature))
        .order_by(_score.c.shown, _score.c.sentences, _score.c.value)
    )
    return [(key, value) for key, value in session.execute(query)]


def _conditions(kind: _Kind, query: Query) -> Iterator[ColumnElement[bool]]:
    yield from (_condition(kind, one) for one in query.conditions if one.field not in (*METRICS, TEST))
    if not query.of("deleted"):
        yield _artifact.c.deleted.is_(None)
    asked = [metric for metric in METRICS if query.of(metric)]
    for metric in asked:
        bounds = [_COMPARE[one.comparison](_score.c.value, one.value) for one in query.of(metric)]
        yield _scored(kind, query.test, is_metric(_score.c.metric, metric), is_plain(_score.c.signature), *bounds)
    if query.test is not None and not asked:
        yield _scored(kind, query.test)


def _scored(kind: _Kind, test: str | None, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the own recipe has such a score.

    Asked of all at once, in the order of the recipes' digests, in which scores lie side by side.
    """
    own = exists().where(kind.is_own(_score.c.recipe_digest), *conditions, _on(test)).correlate(_module, _parent)
    return kind.key.in_(select(kind.key).where(own).correlate(None))


def _on(test: str | None) -> ColumnElement[bool]:
    """Of scores: on the test set of a name, or on any."""
    return true() if test is None else _score.c.test == test


def _condition(kind: _Kind, one: Condition) -> ColumnElement[bool]:
    if one.field == "deleted":
        return _artifact.c.deleted.is_not(None) if one.value == "true" else _artifact.c.deleted.is_(None)
    if one.field == "shared":
        column = kind.columns.get("shared")
        return false() if column is None else column.is_(one.value == "true")
    if isinstance(one.value, date):
        return _on_day(one.comparison, one.value)
    if one.field in _AMONG:
        among = _artifact.c.id.in_(_AMONG[one.field](one.value))
        return among if one.comparison == "=" else not_(among)
    if one.field == "name" or one.field in _LANGUAGES:
        agrees = (
            or_(*(column == one.value for column in kind.names))
            if one.field == "name"
            else kind.has_language(one.field, str(one.value))
        )
        return agrees if one.comparison == "=" else not_(agrees)
    if one.field not in ("digest", "job"):
        column = kind.columns.get(one.field)
        return _COMPARE[one.comparison](null() if column is None else column, one.value)
    column = kind.digest if one.field == "digest" else func.coalesce(kind.columns["job"], "")
    return _COMPARE[one.comparison](func.substr(column, 1, len(str(one.value))), one.value)


def _on_day(comparison: Comparison, day: date) -> ColumnElement[bool]:
    """When something was made, compared with a whole day in UTC."""
    begin = datetime.combine(day, time(), UTC)
    end = begin + timedelta(days=1)
    created = _artifact.c.created
    return {
        "=": and_(created >= begin, created < end),
        "!=": or_(created < begin, created >= end),
        "<": created < begin,
        "<=": created < end,
        ">": created >= end,
        ">=": created >= begin,
    }[comparison]


def _words(table: FromClause, key: str, column: str) -> Callable[[object], Select[tuple[int]]]:
    return lambda value: select(table.c[key]).where(table.c[column] == value)


def _corpora(column: str) -> Callable[[object], Select[tuple[int]]]:
    use, corpus = schema.CorpusUse.__table__, schema.Corpus.__table__
    joined = select(use.c.artifact_id).select_from(use.join(corpus, corpus.c.id == use.c.corpus_id))
    return lambda value: joined.where(corpus.c[column] == value)


def _licence(value: object) -> CompoundSelect[tuple[int]]:
    """What was trained or tested on a corpus with this licence, or imported under it."""
    imported = select(_artifact.c.id).where(_artifact.c.spec["import", "licence"].as_string() == value)
    return union(_corpora("licence")(value), imported)


_AMONG: Mapping[str, Callable[[object], Select[tuple[int]] | CompoundSelect[tuple[int]]]] = {
    "tag": _words(schema.Tag.__table__, "artifact_id", "tag"),
    "alias": _words(schema.Alias.__table__, "module_id", "name"),
    "corpus": _corpora("name"),
    "licence": _licence,
}
