"""Resolve the recipes of a parent and its modules, and the recipe of a pair: pure functions over records.

The module of a trained pair is selected by `registry.queries.version_selection`. A zero-shot pair's source side and
target side are those of the modules selected for the two trained pairs, and its cross-attention is the target module's
unless the caller names another. `registry.recipes.rule` chooses between the recipes of a pair.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind, two_encoders
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair, SideName, ends_of
from registry.queries.module_parts import (
    brings_encoder,
    cross_attention_of,
    has,
    into_parents_target,
    lends,
    lent_by,
    shares_pieces,
    supervised,
)
from registry.queries.version_selection import NEWEST, SelectionPolicy, selected_modules
from registry.records.artifacts import ModuleOutline, ParentOutline
from registry.records.names import unknown


@dataclass(frozen=True)
class RecipeResolver:
    """A parent and the selected modules of its pairs. Of two modules of a pair the first is preferred.

    ``modules`` are in the order of their pairs, as `selected_modules` ranks them. Of several modules that bring one
    language on one side, the first of ``by_rank`` is used in pairs that none was trained on: `of` puts those first that
    ``policy`` pins, then those that are champions, then what scored best, then the newest. A bridge of the parent's own
    pair is used only where it is named.

    The argument ``among`` of its methods limits what is listed of pairs in which the parent's own languages take part
    and that no module was trained on: a parent of 200 languages has 40,000 of them. None lists all.
    """

    parent: ParentOutline
    modules: tuple[ModuleOutline, ...]
    by_rank: tuple[ModuleOutline, ...]
    policy: SelectionPolicy = NEWEST

    @classmethod
    def of(
        cls, parent: ParentOutline, modules: Iterable[ModuleOutline], choice: SelectionPolicy = NEWEST
    ) -> RecipeResolver:
        """Return the resolver of the selected modules among ``modules``."""

        def rank(module: ModuleOutline) -> tuple[bool, bool, float, int]:
            unfixed = module.pair not in choice.pinned, choice.fixed(module.pair) is None
            return *unfixed, -choice.score(module), -module.place

        chosen = tuple(selected_modules(modules, choice))
        return cls(parent, chosen, tuple(sorted(chosen, key=rank)), choice)

    @cached_property
    def of_pairs(self) -> dict[Pair, list[ModuleOutline]]:
        """The selected modules of each trained pair."""
        found: dict[Pair, list[ModuleOutline]] = {}
        for module in self.modules:
            found.setdefault(module.pair, []).append(module)
        return found

    @cached_property
    def preferred(self) -> tuple[ModuleOutline, ...]:
        """The module of each trained pair, by pair."""
        return _first_of_each_pair(self.modules)

    @cached_property
    def _trained(self) -> dict[Pair, ModuleOutline]:
        """The module of each trained pair."""
        return {module.pair: module for module in self.preferred}

    @cached_property
    def _known(self) -> Container[Pair]:
        """The pairs that run without being put together: the parent's own, and those that were trained."""
        own = self.parent.languages.only_pair
        return self._trained if own is None else {*self._trained, own}

    @cached_property
    def combinable(self) -> tuple[ModuleOutline, ...]:
        """The module of each pair that works with the parent's other pieces: ``scratch`` shares nothing."""
        return _first_of_each_pair(module for module in self.modules if shares_pieces(module))

    @cached_property
    def _bringing(self) -> dict[SideName, dict[str, ModuleOutline]]:
        """The module that brings each new language into pairs that it was not trained on, by side."""
        found: dict[SideName, dict[str, ModuleOutline]] = {"source": {}, "target": {}}
        for module in filter(shares_pieces, self.by_rank):
            for end in ends_of(module.side):
                found[end].setdefault(module.pair.language(end), module)
        return found

    def bringing(self, end: SideName, language: str, but_for: Pair | None = None) -> ModuleOutline | None:
        """The module that brings a new language on a side into pairs that it was not trained on.

        A module of the pair ``but_for`` is passed over.
        """
        modules = (module for module in self.by_rank if shares_pieces(module) and module.pair != but_for)
        return next((module for module in modules if module.brings(end) == language), None)

    def recipes(self, among: Collection[Pair] | None = None) -> list[Recipe]:
        """Every recipe that can be run: the original, then what was trained, zero-shot and retention, each by pair."""
        bridges = [bridge for pair in self._own_pairs(among) if (bridge := self._named_bridge(pair)) is not None]
        return [
            *self.originals(among),
            *self._trained_recipes(),
            *bridges,
            *self.zero_shots(among),
            *self.retentions(among),
        ]

    def pairs(self, among: Collection[Pair] | None = None) -> list[Recipe]:
        """The best recipe of every pair that can be run: originals, then what was trained, then zero-shot."""
        own = {pair: recipe for pair in self._own_pairs(among) if (recipe := self._named_bridge(pair)) is not None}
        originals = [own.get(recipe.pair, recipe) for recipe in self.originals(among)]
        return [*originals, *self._trained_recipes(), *self.zero_shots(among)]

    def _trained_recipes(self) -> list[Recipe]:
        """The pairs that a module was trained on, but for those of the parent."""
        return [self.supervised(module) for module in self.preferred if module.pair not in self.parent.languages]

    def originals(self, among: Collection[Pair] | None = None) -> list[Recipe]:
        """The pairs of the parent."""
        return [self._recipe("original", pair) for pair in self._own_pairs(among)]

    def _own_pairs(self, among: Collection[Pair] | None) -> Iterable[Pair]:
        languages = self.parent.languages
        if among is None or not languages.several:
            return languages.pairs()
        return sorted(pair for pair in among if pair in languages)

    def supervised(self, module: ModuleOutline) -> Recipe:
        """The pair that the module was trained on, with all the pieces that the module has."""
        return supervised(self.parent, module.key, module.pair, module.side, module.scope, module.rests_on)

    def _named_bridge(self, pair: Pair) -> Recipe | None:
        """The recipe of the parent's own pair with a bridge that the caller names."""
        if pair not in self.policy.pinned or pair not in self._trained:
            return None
        return self.supervised(self._trained[pair])

    def direct(self, pair: Pair) -> Recipe | None:
        """The recipe of a pair of the parent, or of one that a module was trained on; None for another pair."""
        if pair in self.parent.languages:
            return self._named_bridge(pair) or self._recipe("original", pair)
        return self.supervised(self._trained[pair]) if pair in self._trained else None

    def zero_shots(self, among: Collection[Pair] | None = None) -> list[Recipe]:
        """Pairs that no module was trained on, by pair as the modules are, then those with the parent's own languages.

        They are each new source language into each new target language, and, where the parent has several languages on
        an end, each new language with every one of these. A pair whose two modules both bring an encoder is left out.
        """
        sources = [(language, m.key, brings_encoder(m)) for language, m in sorted(self._bringing["source"].items())]
        targets = [
            (language, m.key, cross_attention_of(m), has(m, "encoder"))
            for language, m in sorted(self._bringing["target"].items())
        ]
        # Looked up once: there are ten thousand.
        name, fingerprint, several = self.parent.name, self.parent.fingerprint, self.parent.languages.several
        return [
            Recipe("zero-shot", pair, name, fingerprint, out_of, cross_attention, into, several=several)
            for source, out_of, with_encoder in sources
            for target, into, cross_attention, has_encoder in targets
            if source != target
            and not (with_encoder and has_encoder)
            and (pair := _pair(source, target)) not in self._known
        ] + [recipe for pair in self._half_own(among) if (recipe := self._half_own_recipe(pair)) is not None]

    def _half_own(self, among: Collection[Pair] | None) -> Iterable[Pair]:
        """Pairs of a new language and one of the parent's own that it was not trained with."""
        languages = self.parent.languages
        if among is not None and languages.several:
            return sorted(among)
        into = {Pair(new, own) for new in self._bringing["source"] for own in languages.tags("target") if new != own}
        out_of = {Pair(own, new) for new in self._bringing["target"] for own in languages.tags("source") if new != own}
        return sorted(into | out_of)

    def pairs_with(self, language: str) -> set[Pair]:
        """The pairs of a language with every other that the parent or a module has, whether or not they can be run."""
        sources, targets = (
            {*self.parent.languages.tags(end), *(pair.language(end) for pair in self._trained)} for end in ENDS
        )
        into = {Pair(language, target) for target in targets if target != language}
        return into | {Pair(source, language) for source in sources if source != language}

    def _half_own_recipe(self, pair: Pair) -> Recipe | None:
        """A new language and one of the parent's own that it was not trained with; None for another pair.

        The new language brings all that its module has: its cross-attention was trained beside its embeddings. A source
        that was trained with another new language reads into that one: it goes through the parent's cross-attention.
        """
        languages = self.parent.languages
        if pair in self._trained or pair in languages:
            return None
        source, target = self._bringing["source"].get(pair.source), self._bringing["target"].get(pair.target)
        if source is not None and languages.side("target", pair.target) is not None:
            return self._recipe("zero-shot", pair, source.key, into_parents_target(source), None)
        if target is not None and languages.side("source", pair.source) is not None:
            return self._recipe("zero-shot", pair, None, cross_attention_of(target), target.key)
        return None

    def retentions(self, among: Collection[Pair] | None = None) -> list[Recipe]:
        """The parent's pairs through each module that stores more than its side."""
        pairs = list(self._own_pairs(among))
        return [self.retention(module, pair) for module in self.combinable if lends(module) for pair in pairs]

    def retention(self, module: ModuleOutline, pair: Pair) -> Recipe:
        """A pair of the parent, with the parent's own sides, through everything else that a module stores.

        Raises IncompatibleError if it stores nothing else.
        """
        return self._recipe("retention", pair, None, lent_by(module), None)

    def of_pair(self, pair: Pair) -> list[Recipe]:
        """The recipes of a pair but for retentions, the preferred one first."""
        trained = [self.supervised(module) for module in self.of_pairs.get(pair, ())]
        if pair in self.parent.languages:
            named, original = self._named_bridge(pair), self._recipe("original", pair)
            return [named, original] if named else [original, *trained]
        zero_shot = self._zero_shot(pair)
        return [*trained, *([zero_shot] if zero_shot else [])]

    def _zero_shot(self, pair: Pair) -> Recipe | None:
        """The recipe of two sides, neither of which was trained on the pair."""
        source, target = self._bringing["source"].get(pair.source), self._bringing["target"].get(pair.target)
        if source is None or target is None:
            return self._half_own_recipe(pair)
        if pair in (source.pair, target.pair) or (brings_encoder(source) and has(target, "encoder")):
            return None
        return self._recipe("zero-shot", pair, source.key, cross_attention_of(target), target.key)

    def choose(self, pair: Pair, kind: RecipeKind | None = None) -> Recipe:
        """The recipe of a pair; without ``kind`` the best there is. Raises UnknownNameError, listing the pairs."""
        for recipe in self.of_pair(pair):
            if kind in (None, recipe.kind):
                return recipe
        raise self.why_not(pair, kind)

    def why_not(
        self, pair: Pair, kind: RecipeKind | None = None, pivots: Iterable[Pair] = ()
    ) -> IncompatibleError | UnknownNameError:
        """The error for a pair without a recipe, or without one of a kind; ``pivots`` can be run, too."""
        source, target = self._bringing["source"].get(pair.source), self._bringing["target"].get(pair.target)
        if source is not None and target is not None and brings_encoder(source) and has(target, "encoder"):
            return two_encoders(pair, source.full_name, target.full_name)
        if others := self.of_pair(pair):
            return UnknownNameError(f"{pair} has no {kind} recipe; it runs as {others[0].kind}")
        if self.parent.languages.several:
            return self._unknown_language(pair)
        names = [str(recipe.pair) for recipe in self.pairs() if kind in (None, recipe.kind)]
        names += [str(one) for one in pivots if kind is None]
        return unknown(f"{kind} pair" if kind else "pair", str(pair), names)

    def _unknown_language(self, pair: Pair) -> UnknownNameError:
        """The error for a pair that cannot be run: it names the languages of the end that lacks one."""
        for end in ENDS:
            there = {*self.parent.languages.tags(end), *self._bringing[end]}
            if (language := pair.language(end)) not in there:
                return unknown(f"{end} language", language, there)
        why = ": it restores text and does not translate" if self.parent.languages.denoising else ""
        return UnknownNameError(f"{pair}: {self.parent.name} has both languages, but no recipe puts them together{why}")

    def two_encoders(self) -> Iterator[tuple[ModuleOutline, ModuleOutline]]:
        """Source and target modules that would make a new pair, but for their two encoders."""
        for source, target in product(self._bringing["source"].values(), self._bringing["target"].values()):
            from_language, into = source.pair.source, target.pair.target
            is_a_pair = from_language != into and Pair(from_language, into) not in self._trained
            if is_a_pair and brings_encoder(source) and has(target, "encoder"):
                yield source, target

    def can_run(self, pair: Pair) -> bool:
        return bool(self.of_pair(pair))

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
        kind: RecipeKind = "zero-shot" if recipe.kind in ("zero-shot", "bridge") else "retention"
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
        name, fingerprint, several = self.parent.name, self.parent.fingerprint, self.parent.languages.several
        return Recipe(kind, pair, name, fingerprint, source, cross_attention, target, several=several)


def _first_of_each_pair(modules: Iterable[ModuleOutline]) -> tuple[ModuleOutline, ...]:
    first: dict[Pair, ModuleOutline] = {}
    for module in modules:
        first.setdefault(module.pair, module)
    return tuple(first[pair] for pair in sorted(first))


@lru_cache(maxsize=2**16)
def _pair(source: str, target: str) -> Pair:
    """There are ten thousand, and the same at every listing."""
    return Pair(source, target)
