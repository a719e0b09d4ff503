"""Resolve the recipes of a parent and its modules, and the recipe of a pair: pure functions over records.

A pair runs with the first of these that exists: the original, the supervised recipe, the zero-shot one; the module
of a trained pair is selected by `registry.queries.version_selection`. Nothing is selected on data of a zero-shot pair:
its source side and its target side are those of the modules selected for the two trained pairs, and its cross-attention
is the target module's unless the caller names another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind, two_encoders
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair, SideName
from continual_mt.model import scopes
from continual_mt.model.architecture import Group
from continual_mt.model.scopes import Scope, reads_encoder, trained_groups
from registry.queries.version_selection import NEWEST, SelectionPolicy, selected_modules
from registry.records.artifacts import ModuleOutline, ParentOutline
from registry.records.names import unknown

PREFERENCE: tuple[RecipeKind, ...] = ("original", "supervised", "zero-shot")


@dataclass(frozen=True)
class RecipeResolver:
    """A parent and the selected modules of its pairs. Of two modules of a pair the first is preferred."""

    parent: ParentOutline
    modules: tuple[ModuleOutline, ...]

    @classmethod
    def of(
        cls, parent: ParentOutline, modules: Iterable[ModuleOutline], choice: SelectionPolicy = NEWEST
    ) -> RecipeResolver:
        """Return the resolver of the selected modules among ``modules``."""
        return cls(parent, tuple(selected_modules(modules, choice)))

    @cached_property
    def preferred(self) -> tuple[ModuleOutline, ...]:
        """The module of each trained pair, by pair."""
        return _first_of_each_pair(self.modules)

    @cached_property
    def combinable(self) -> tuple[ModuleOutline, ...]:
        """The module of each pair that works with the parent's other pieces: ``scratch`` shares nothing."""
        return _first_of_each_pair(module for module in self.modules if module.scope != "scratch")

    def recipes(self) -> list[Recipe]:
        """Every recipe that can be run: the original, then supervised, zero-shot and retention, each by pair."""
        return [*self.pairs(), *self.retentions()]

    def pairs(self) -> list[Recipe]:
        """The best recipe of every pair that can be run: original before supervised before zero-shot."""
        return [self.original(), *map(self.supervised, self.preferred), *self.zero_shots()]

    def original(self) -> Recipe:
        return self._recipe("original", self.parent.pair)

    def supervised(self, module: ModuleOutline) -> Recipe:
        """The pair that the module was trained on, with all the pieces that the module has."""
        return supervised(self.parent, module.key, module.pair, module.side, module.scope)

    def zero_shots(self) -> list[Recipe]:
        """Each new source language into each new target language, by pair as the modules are.

        A pair whose two modules both bring an encoder is left out.
        """
        sources = [(m.language, m.key, brings_encoder(m)) for m in self.combinable if m.side == "source"]
        targets = [
            (m.language, m.key, cross_attention_of(m), has(m, "encoder")) for m in self.combinable if m.side == "target"
        ]
        name, fingerprint = self.parent.name, self.parent.fingerprint  # of ten thousand
        return [
            Recipe("zero-shot", _pair(source, target), name, fingerprint, from_source, cross_attention, into_target)
            for source, from_source, with_encoder in sources
            for target, into_target, cross_attention, has_encoder in targets
            if source != target and not (with_encoder and has_encoder)
        ]

    def retentions(self) -> list[Recipe]:
        """The original pair through each module that stores more than its side."""
        return [self.retention(module) for module in self.combinable if lends(module)]

    def retention(self, module: ModuleOutline) -> Recipe:
        """The original pair, with the parent's own sides, through everything else that a module stores.

        Raises IncompatibleError if it stores nothing else.
        """
        return self._recipe("retention", self.parent.pair, None, lent_by(module), None)

    def choose(self, pair: Pair, kind: RecipeKind | None = None) -> Recipe:
        """The recipe of a pair; without ``kind`` the best there is. Raises UnknownNameError, listing the pairs."""
        found = [recipe for recipe in self.pairs() if kind in (None, recipe.kind)]
        for recipe in found:
            if recipe.pair == pair:
                return recipe
        self._raise_if_two_encoders(pair)
        raise unknown(f"{kind} pair" if kind else "pair", str(pair), (str(recipe.pair) for recipe in found))

    def _raise_if_two_encoders(self, pair: Pair) -> None:
        sources = [m for m in self.combinable if m.side == "source" and m.language == pair.source and brings_encoder(m)]
        targets = [m for m in self.combinable if m.side == "target" and m.language == pair.target and has(m, "encoder")]
        if sources and targets:
            raise two_encoders(pair, sources[0].full_name, targets[0].full_name)

    def can_run(self, pair: Pair) -> bool:
        return any(recipe.pair == pair for recipe in self.pairs())

    def through(self, recipe: Recipe, module: ModuleOutline | None) -> Recipe:
        """A recipe with what another module stores between the sides, such as its cross-attention.

        None is the parent's.

        The original or a supervised pair, which has its own cross-attention, then becomes a retention. Raises
        IncompatibleError for a module of another parent, for one that stores only its side, and if the recipe would
        need two encoders.
        """
        if module is not None and module.parent != self.parent.name:
            raise IncompatibleError(
                f"{module.full_name} belongs to the parent {module.parent}, not to {self.parent.name}: "
                "a module fits no parent but its own"
            )
        cross_attention = None if module is None else lent_by(module)
        if cross_attention == recipe.cross_attention:
            return recipe
        encodes_only = module is not None and cross_attention_of(module) is None
        if encodes_only and recipe.cross_attention is None and cross_attention == self.source_encoder(recipe):
            return recipe  # its encoder runs already
        if module is not None and has(module, "encoder") and self.source_encoder(recipe) not in (None, module.key):
            raise two_encoders(recipe.pair, str(recipe.source and recipe.source.name), module.full_name)
        kind: RecipeKind = "zero-shot" if recipe.kind == "zero-shot" else "retention"
        return self._recipe(kind, recipe.pair, recipe.source, cross_attention, recipe.target)

    def source_encoder(self, recipe: Recipe) -> ModuleKey | None:
        """The source module of a recipe if it brings its own encoder into every pair, else None."""
        return next((m.key for m in self.modules if m.key == recipe.source and brings_encoder(m)), None)

    def _recipe(
        self,
        kind: RecipeKind,
        pair: Pair,
        source: ModuleKey | None = None,
        cross_attention: ModuleKey | None = None,
        target: ModuleKey | None = None,
    ) -> Recipe:
        return Recipe(kind, pair, self.parent.name, self.parent.fingerprint, source, cross_attention, target)


def supervised(parent: ParentOutline, key: ModuleKey, pair: Pair, side: SideName, scope: Scope) -> Recipe:
    """The pair that a module was trained on, with all the pieces that a module of this side and scope has."""
    groups = trained_groups(scope, side)
    source, target = (key if group in groups else None for group in ("source", "target"))
    between = key if reads_encoder(scope, side) else None
    return Recipe("supervised", pair, parent.name, parent.fingerprint, source, between, target)


def has(module: ModuleOutline, group: Group) -> bool:
    """Whether a module stores a group, or uses its parent's."""
    return group in trained_groups(module.scope, module.side)


def cross_attention_of(module: ModuleOutline) -> ModuleKey | None:
    return module.key if reads_encoder(module.scope, module.side) else None


def brings_encoder(module: ModuleOutline) -> bool:
    """Whether a source module's encoder travels with its side into every pair, as that of the scope ``half`` does."""
    return scopes.brings_encoder(module.scope, module.side)


def lends(module: ModuleOutline) -> bool:
    """Whether a module stores anything that another pair can run through."""
    return module.scope != "scratch" and set(trained_groups(module.scope, module.side)) > {module.side}


def lent_by(module: ModuleOutline) -> ModuleKey:
    """A module whose cross-attention (or encoder, decoder) another pair runs through.

    Raises IncompatibleError if it stores none that fits.
    """
    if module.scope == "scratch":
        raise IncompatibleError(
            f"{module.full_name} was trained from scratch: its cross-attention fits no pair but {module.pair}"
        )
    if not lends(module):
        raise IncompatibleError(
            f"{module.full_name} has no separate cross-attention (scope {module.scope}): it uses its parent's"
        )
    return module.key


def _first_of_each_pair(modules: Iterable[ModuleOutline]) -> tuple[ModuleOutline, ...]:
    first: dict[Pair, ModuleOutline] = {}
    for module in modules:
        first.setdefault(module.pair, module)
    return tuple(first[pair] for pair in sorted(first))


@lru_cache(maxsize=2**16)
def _pair(source: str, target: str) -> Pair:
    """There are ten thousand, and the same at every listing."""
    return Pair(source, target)
