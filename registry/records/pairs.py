"""A pair that can be run, and the score that it is shown with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from registry.records.values import JSONObject

BEST_METRIC = "bleu"


class BestScore(NamedTuple):
    """How good a recipe is, as one number: its BLEU on a test set. `PairEntry` has the recipe.

    ``copy_value`` is the BLEU of the source copied unchanged. `Registry.scores` has the whole record.
    """

    test: str
    test_digest: str
    value: float
    copy_value: float | None
    signature: str
    sentences: int
    beam: int

    def to_json(self) -> JSONObject:
        return {
            "test": self.test,
            "test_digest": self.test_digest,
            "metric": BEST_METRIC,
            "value": self.value,
            "copy_value": self.copy_value,
            "signature": self.signature,
            "sentences": self.sentences,
            "beam": self.beam,
        }


@dataclass(frozen=True, slots=True)
class PairEntry:
    """A pair that can be run, the recipe that it runs with, and that recipe's best BLEU so far."""

    recipe: AnyRecipe
    score: BestScore | None

    @property
    def parent(self) -> str:
        """The parent's name; of a pivot that of its first leg."""
        return self.recipe.legs[0].parent

    @property
    def models(self) -> int:
        """How many models a sentence runs through, which is what a translation costs."""
        return len(self.recipe.legs)

    @property
    def pair(self) -> Pair:
        return self.recipe.pair

    @property
    def kind(self) -> RecipeKind:
        return self.recipe.kind

    def to_json(self) -> dict[str, object]:
        score = self.score.to_json() if self.score else None
        return {**self.recipe.to_json(), "models": self.models, "score": score}
