"""SQL conditions on the legs of pivots, whose rows name a parent and modules where the pivot's own row names none."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, or_, select
from sqlalchemy.orm import aliased

from registry.database import schema

_Row = type[schema.Recipe] | type[schema.Score]


def pivots_with(condition: Callable[[type[schema.Recipe]], ColumnElement[bool]]) -> Select[str]:
    """The digests of all pivots with a leg that fulfils a condition on its row."""
    pivot, leg = aliased(schema.Recipe), aliased(schema.Recipe)
    query = select(pivot.digest).join(leg, leg.digest.in_((pivot.first_leg, pivot.second_leg)))
    return query.where(pivot.first_leg.is_not(None), condition(leg))


def is_of_parent(parent: ScalarSelect[int]) -> ColumnElement[bool]:
    """Of a score: whether its recipe, or a leg of its pivot, runs on a parent."""
    return _itself_or_a_leg(lambda row: row.parent_id == parent)


def has_module(module: str) -> ColumnElement[bool]:
    """Of a score: whether its recipe, or a leg of its pivot, has a module."""
    parts = "source_module", "cross_attention_module", "target_module"
    return _itself_or_a_leg(lambda row: or_(*(getattr(row, part) == module for part in parts)))


def _itself_or_a_leg(condition: Callable[[_Row], ColumnElement[bool]]) -> ColumnElement[bool]:
    score = schema.Score
    return or_(condition(score), and_(score.kind == "pivot", score.recipe_digest.in_(pivots_with(condition))))
