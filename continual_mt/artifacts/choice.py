"""Why a pair runs with one recipe and not with another: what `registry.recipes.rule` decides, as people read it."""

from __future__ import annotations

from dataclasses import dataclass

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.languages import Pair


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe that a pair could run with. ``score`` is its BLEU on the test set named ``test``, in points, or None.

    ``note`` is the reason for or against it in a few words, such as ``another version``.
    """

    recipe: AnyRecipe
    score: float | None = None
    test: str | None = None
    note: str = ""

    @property
    def models(self) -> int:
        """How many models a sentence runs through, which is what a translation costs."""
        return len(self.recipe.legs)

    def to_json(self) -> dict[str, object]:
        score = {"score": self.score, "test": self.test, "models": self.models, "note": self.note}
        return {"recipe": self.recipe.to_json(), **score}


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipes that a pair could run with, the chosen one first, and the reason in one sentence."""

    candidates: tuple[Candidate, ...]
    reason: str

    @property
    def chosen(self) -> AnyRecipe:
        return self.candidates[0].recipe

    @property
    def pair(self) -> Pair:
        return self.chosen.pair

    def __str__(self) -> str:
        return f"{self.chosen}; {self.reason}"

    def to_json(self) -> dict[str, object]:
        candidates = [candidate.to_json() for candidate in self.candidates]
        return {"pair": str(self.pair), "reason": self.reason, "candidates": candidates}
