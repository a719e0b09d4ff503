"""Pivots: two recipes, one after the other, that translate a pair through a third language.

``continual_mt.inference.pivot_model`` runs them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair


@dataclass(frozen=True, slots=True)
class Pivot:
    """A recipe into the pivot language and one out of it, on one parent or on two.

    A sentence runs through both models, so a pivot costs as much as its two legs.

    Raises IncompatibleError if a leg is a pivot itself, if the second leg does not start from the language into which
    the first translates, or if it translates back into the first language.
    """

    first: Recipe
    second: Recipe

    def __post_init__(self) -> None:
        for leg in self.legs:
            if not isinstance(leg, Recipe):
                raise IncompatibleError(f"{leg}: is a pivot; expected a recipe of one model as the leg of a pivot")
        check_meeting(self.first.pair, self.second.pair)

    @property
    def kind(self) -> RecipeKind:
        return "pivot"

    @property
    def legs(self) -> tuple[Recipe, ...]:
        """The recipes that a sentence runs through, in this order."""
        return self.first, self.second

    @property
    def pair(self) -> Pair:
        return Pair(self.first.pair.source, self.second.pair.target)

    @property
    def language(self) -> str:
        """The language in between."""
        return self.first.pair.target

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the digests of both legs."""
        contents = f'["pivot", "{self.first.digest}", "{self.second.digest}"]'  # JSON
        return hashlib.sha256(contents.encode()).hexdigest()

    @property
    def modules(self) -> tuple[ModuleKey, ...]:
        """The modules of both legs, without duplicates."""
        return tuple(dict.fromkeys((*self.first.modules, *self.second.modules)))

    def __str__(self) -> str:
        return f"pivot {self.pair} through {self.language}: {self.first}; then {self.second}"

    def to_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "pair": str(self.pair),
            "models": len(self.legs),
            "legs": [leg.to_json() for leg in self.legs],
            "digest": self.digest,
        }


AnyRecipe = Recipe | Pivot


def check_meeting(first: Pair, second: Pair) -> None:
    """Raise IncompatibleError unless two pairs can be the legs of a pivot."""
    if first.target != second.source:
        raise IncompatibleError(
            f"the legs {first} and {second} do not meet: the first translates into {first.target}, the second from "
            f"{second.source}; expected a second leg from {first.target}"
        )
    if first.source == second.target:
        raise IncompatibleError(
            f"the legs {first} and {second} end in {first.source}, where they begin; expected a second leg into "
            "another language"
        )
