"""The record of a recipe that was run or scored."""

from __future__ import annotations

from dataclasses import dataclass

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from registry.records.values import JSONObject


@dataclass(frozen=True, slots=True)
class RecipeRecord:
    """A recipe by its digest. ``source``, ``cross_attention`` and ``target`` name its modules, None for the parent's.

    A pivot has two ``legs``, which have the modules; its ``parent`` is that of the first leg.
    """

    parent: str
    kind: RecipeKind
    pair: Pair
    digest: str
    source: str | None = None
    cross_attention: str | None = None
    target: str | None = None
    legs: tuple[RecipeRecord, ...] = ()

    @classmethod
    def of(cls, recipe: AnyRecipe) -> RecipeRecord:
        if isinstance(recipe, Pivot):
            legs = tuple(map(cls.of, recipe.legs))
            return cls(legs[0].parent, recipe.kind, recipe.pair, recipe.digest, legs=legs)
        source, cross_attention, target = (
            key.name if key else None for key in (recipe.source, recipe.cross_attention, recipe.target)
        )
        return cls(recipe.parent, recipe.kind, recipe.pair, recipe.digest, source, cross_attention, target)

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of the modules, those of the legs included, without duplicates."""
        named = (self.source, self.cross_attention, self.target, *(name for leg in self.legs for name in leg.modules))
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def to_json(self) -> JSONObject:
        return {
            "parent": self.parent,
            "kind": self.kind,
            "pair": str(self.pair),
            "recipe": self.digest,
            "source": self.source,
            "cross_attention": self.cross_attention,
            "target": self.target,
        }
