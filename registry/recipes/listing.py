"""Listing all pairs of a parent: which are listed, what each runs with, and its score."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import select

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import Recipe
from continual_mt.languages import Pair
from registry.database import schema
from registry.database.database import Database
from registry.queries.catalog import parent_id
from registry.recipes.candidates import Candidates
from registry.recipes.evidence import Evidence
from registry.recipes.rule import decide
from registry.records.artifacts import ParentOutline
from registry.records.pairs import BestScore, PairEntry

MOST_LISTED = 100
"""The most pairs of a parent that are all listed, whether or not they have a score."""
_ROWS_AT_ONCE = 500  # of ten thousand, so that few are held beside the records that are made of them


class Listing:
    """Reads what a list of pairs needs beside the recipes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, parent: ParentOutline) -> Collection[Pair] | None:
        """Of the pairs in which a parent's own languages take part untrained, those that have a score; None for all.

        All are listed of a parent of few pairs.
        """
        if _has_few_pairs(parent):
            return None
        score = schema.Score
        query = select(score.source, score.target, score.kind).where(score.parent_id == parent_id(parent.name))
        with self._database.read() as session:
            found = [(Pair(source, target), kind) for source, target, kind in session.execute(query.distinct())]
        # A pair of the parent does not run as a pivot.
        return {pair for pair, kind in found if kind != "pivot" or pair not in parent.languages}

    def chosen(
        self, candidates: Candidates, evidence: Evidence | None, language: str | None = None
    ) -> Iterator[AnyRecipe]:
        """The recipe that each pair runs with: the parent's pairs, then what was trained, then all others."""
        resolver = candidates.resolver
        if language is not None:
            found = map(candidates.of_pair, sorted(resolver.pairs_with(language)))
            yield from _decided(sorted(filter(None, found), key=_place), candidates, evidence)
            return
        among = self.listed(resolver.parent)
        pivots = candidates.pivots.pairs(among) if candidates.pivot else set()
        one_model, by_order = resolver.pairs(among), evidence is None and not resolver.policy.pinned
        if by_order and not pivots:
            yield from one_model  # mostly so, and ten thousand pairs are slow to look up
            return
        preferred = {recipe.pair: recipe for recipe in one_model}
        pairs = _in_order(preferred, pivots)
        if by_order:
            for pair in pairs:
                yield candidates.pivots.of_pair(pair)[0] if pair in pivots else preferred[pair]
            return
        yield from _decided([candidates.of_pair(pair) for pair in pairs], candidates, evidence)

    def entries(self, chosen: Sequence[AnyRecipe]) -> list[PairEntry]:
        """Recipes with the scores that they are shown with."""
        digests = [recipe.digest for recipe in chosen]
        best = self.best_scores(digests)
        return [PairEntry(recipe, best.get(digest)) for recipe, digest in zip(chosen, digests, strict=True)]

    def best_scores(self, digests: Iterable[str]) -> dict[str, BestScore]:
        """The scores that recipes are shown with, by the recipes' digests."""
        # In the order of the index, so that one look-up finds in memory what the one before it read.
        scores, asked = schema.Score.__table__, self._database.listed(sorted(digests))
        columns = [scores.c[name] for name in ("recipe_digest", *BestScore._fields)]
        query = select(*columns).select_from(asked.join(scores, scores.c.recipe_digest == asked.c.value))
        query = query.where(scores.c.shown)
        with self._database.read() as session:
            batches = session.execute(query).partitions(_ROWS_AT_ONCE)
            return {row[0]: BestScore._make(row[1:]) for rows in batches for row in rows}


def _in_order(preferred: Mapping[Pair, Recipe], pivots: Iterable[Pair]) -> list[Pair]:
    """The parent's pairs, then what was trained, each as they come, then all others by name."""
    first = [pair for pair, recipe in preferred.items() if recipe.kind != "zero-shot"]
    return [*first, *sorted({*preferred, *pivots}.difference(first))]


def _decided(
    found: Sequence[Sequence[AnyRecipe]], candidates: Candidates, evidence: Evidence | None
) -> Iterator[AnyRecipe]:
    """The chosen one of each pair's recipes."""
    if evidence is not None:
        evidence.read(recipe for recipes in found for recipe in recipes)
    for recipes in found:
        yield decide(recipes, evidence, candidates.fixed(recipes[0])).chosen


def _place(recipes: Sequence[AnyRecipe]) -> int:
    """The parent's pairs come first, then what was trained."""
    return {"original": 0, "supervised": 1, "bridge": 1}.get(recipes[0].kind, 2)


def _has_few_pairs(parent: ParentOutline) -> bool:
    return len(parent.languages.sources) * len(parent.languages.targets) <= MOST_LISTED


@contextmanager
def not_collecting() -> Iterator[None]:
    """Pause Python's garbage collector, which would look through tens of thousands of records that all stay."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
