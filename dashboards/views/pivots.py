"""Scores of pivots, beside those of the recipes that translate the same pairs directly."""

from __future__ import annotations

from collections.abc import Sequence

from continual_mt.errors import UnknownNameError
from registry import PairEntry, Registry, ScoreRecord


def beside_pivots(
    registry: Registry, entries: Sequence[PairEntry], parent: str | None = None, language: str | None = None
) -> list[ScoreRecord]:
    """Return the scores of pivots that can be run, and those of the direct recipes of the same pairs.

    ``entries`` are the pairs with their recipes of one model.

    With ``parent`` only of pivots with a leg on it, with ``language`` only of pairs from it and into it.
    """
    scored = registry.scores(parent=parent, kind="pivot")
    # A language may have the code of a parent.
    tags = {one.languages.written_in_tags(language) for one in registry.parents()} if language is not None else set()
    meant = {score.recipe for score in scored if language is None or tags & {score.pair.source, score.pair.target}}
    pivots = {digest for digest in meant if _can_be_run(registry, digest)}
    pairs = {score.pair for score in scored if score.recipe in pivots}
    shown = pivots | {entry.recipe.digest for entry in entries if entry.pair in pairs}
    return [score for pair in sorted(pairs) for score in registry.scores(pair) if score.recipe in shown]


def _can_be_run(registry: Registry, digest: str) -> bool:
    try:
        registry.recipe_catalog.recipe_of(digest)
    except UnknownNameError:  # a parent or module was deleted
        return False
    return True
