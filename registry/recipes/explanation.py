"""A decision with its candidates, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from continual_mt.artifacts.choice import Candidate, Choice
from continual_mt.artifacts.pivot import AnyRecipe
from registry.recipes.evidence import Evidence
from registry.recipes.rule import Decision
from registry.records.pairs import BestScore

Scores = Evidence | Mapping[str, BestScore]
"""Where scores to show come from: the named test set, or the test set that each recipe is shown with, by digest."""


def named_by_caller(recipe: AnyRecipe, name: str) -> Choice:
    """The choice of a recipe that the caller names."""
    return Choice((Candidate(recipe),), f"you named {name}")


def explained(decision: Decision, ordered: Sequence[AnyRecipe], scores: Scores | None) -> Choice:
    """The choice of a decision: the chosen recipe first, then the others in the order in which they come."""
    others = [recipe for recipe in ordered if recipe.digest != decision.chosen.digest]
    candidates = [_candidate(recipe, scores) for recipe in (decision.chosen, *others)]
    return Choice(tuple(candidates), decision.reason)


def _candidate(recipe: AnyRecipe, scores: Scores | None) -> Candidate:
    if isinstance(scores, Evidence):
        value = scores.score(recipe)
        return Candidate(recipe, value, None if value is None else scores.test)
    best = None if scores is None else scores.get(recipe.digest)
    return Candidate(recipe) if best is None else Candidate(recipe, best.value, best.test)
