"""A decision with its candidates, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from continual_mt.artifacts.choice import Candidate, Choice
from continual_mt.artifacts.pivot import AnyRecipe
from registry.recipes.evidence import Evidence, Place
from registry.recipes.rule import Decision
from registry.records.pairs import BestScore

Scores = Evidence | Mapping[str, BestScore]
"""Where scores to show come from: the named test set, or the test set that each recipe is shown with, by digest."""


def named_by_caller(recipe: AnyRecipe, name: str) -> Choice:
    """The choice of a recipe that the caller names."""
    return Choice((Candidate(recipe),), f"you named {name}")


def explained(decision: Decision, ordered: Sequence[AnyRecipe], scores: Scores | None) -> Choice:
    """The choice of a decision: the chosen recipe first, then the others in the order in which they come."""
    place = scores.place(ordered) if isinstance(scores, Evidence) else None
    chosen = _candidate(decision.chosen, scores, place)
    others = [_candidate(recipe, scores, place) for recipe in ordered if recipe.digest != decision.chosen.digest]
    noted = [replace(candidate, note=_note(candidate, chosen)) for candidate in others]
    return Choice((replace(chosen, note="chosen"), *noted), decision.reason)


def _note(candidate: Candidate, chosen: Candidate) -> str:
    """What spoke against a candidate, beside the chosen one."""
    if candidate.test == chosen.test and candidate.score is not None and chosen.score is not None:
        return f"{candidate.score - chosen.score:+.1f} BLEU"
    if candidate.test is None and chosen.test is not None:
        return "no score"
    return "another version" if candidate.recipe.kind == chosen.recipe.kind else "comes later"


def _candidate(recipe: AnyRecipe, scores: Scores | None, place: Place | None) -> Candidate:
    if isinstance(scores, Evidence):
        value = scores.score(recipe, place)
        return Candidate(recipe, value, None if value is None else scores.test)
    best = None if scores is None else scores.get(recipe.digest)
    return Candidate(recipe) if best is None else Candidate(recipe, best.value, best.test)
