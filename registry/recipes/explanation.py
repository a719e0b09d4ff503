"""A decision with its candidates, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from continual_mt.artifacts.choice import Candidate, Choice
from continual_mt.artifacts.pivot import AnyRecipe
from registry.recipes.evidence import Evidence, Place
from registry.recipes.rule import Decision
from registry.records.pairs import BestScore


@dataclass(frozen=True)
class _Shown:
    """A candidate, its position among all, and the place of its score: None without a score.

    ``elsewhere``: it has a score on another test set of the name, or with another beam.
    """

    candidate: Candidate
    position: int
    place: Place | None = None
    elsewhere: bool = False


def explained(decision: Decision, ordered: Sequence[AnyRecipe], scores: Evidence | Mapping[str, BestScore]) -> Choice:
    """The choice of a decision: the chosen recipe first, then the others in the order in which they come.

    ``scores`` are those on the named test set, or those that recipes are shown with, by digest.
    """
    place = scores.place(ordered) if isinstance(scores, Evidence) else None
    shown = [_shown(recipe, position, scores, place) for position, recipe in enumerate(ordered)]
    chosen = next(one for one in shown if one.candidate.recipe.digest == decision.chosen.digest)
    others = [replace(one.candidate, note=_note(one, chosen)) for one in shown if one is not chosen]
    return Choice((replace(chosen.candidate, note="chosen"), *others), decision.reason)


def _shown(recipe: AnyRecipe, position: int, scores: Evidence | Mapping[str, BestScore], place: Place | None) -> _Shown:
    if isinstance(scores, Evidence):
        value = scores.score(recipe, place)
        if value is None:
            return _Shown(Candidate(recipe), position, elsewhere=scores.score(recipe) is not None)
        return _Shown(Candidate(recipe, value, scores.test), position, place)
    best = scores.get(recipe.digest)
    if best is None:
        return _Shown(Candidate(recipe), position)
    return _Shown(Candidate(recipe, best.value, best.test), position, Place(best.test_digest, best.beam))


def _note(one: _Shown, chosen: _Shown) -> str:
    """Why a candidate was not chosen."""
    ours, theirs = one.candidate, chosen.candidate
    if ours.score is not None and theirs.score is not None and one.place == chosen.place:
        return f"{ours.score - theirs.score:+.1f} BLEU".replace("-0.0", "+0.0")
    if one.elsewhere:
        return "scored on another test set of this name"
    if ours.recipe.kind == theirs.recipe.kind:
        return "another pivot" if ours.recipe.kind == "pivot" else "another version"
    if one.position > chosen.position:
        return "comes later"
    return "no score" if theirs.score is not None else "its kind is worse on other pairs"
