"""Pivots within one parent: pairs that two recipes translate in turn, each the original or trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cached_property

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.pivot import Pivot
from continual_mt.languages import Pair, SideName
from registry.queries.recipe_resolver import RecipeResolver

_LEGS = ("original", "supervised", "bridge")
"""What a leg may be, the most trusted first."""


class PivotFinder:
    """The pivots of a parent's pairs through one language. Each leg is one that `RecipeResolver.direct` has.

    A pair that is itself trained may have pivots, too; one of the parent's own has none, and of the two legs at least
    one is trained: where a parent has both directions of two hundred languages, a pivot between them has to be named.
    """

    def __init__(self, resolver: RecipeResolver) -> None:
        self._resolver = resolver

    @cached_property
    def _trained(self) -> dict[SideName, dict[str, set[str]]]:
        """The languages that modules connect each language with, as a source and as a target."""
        found: dict[SideName, dict[str, set[str]]] = {end: defaultdict(set) for end in ENDS}
        for module in self._resolver.preferred:
            if module.pair not in self._resolver.parent.languages:
                found["source"][module.pair.source].add(module.pair.target)
                found["target"][module.pair.target].add(module.pair.source)
        return found

    def of_pair(self, pair: Pair) -> list[Pivot]:
        """The pivots of a pair: those with the more trusted legs first, then through the parent's languages, by tag."""
        if pair in self._resolver.parent.languages:
            return []
        out, into = self._trained["source"].get(pair.source, ()), self._trained["target"].get(pair.target, ())
        found = []
        for language in {*out, *into} - {pair.source, pair.target}:
            first = self._resolver.direct(Pair(pair.source, language))
            second = self._resolver.direct(Pair(language, pair.target))
            if first is not None and second is not None:
                found.append(Pivot(first, second))
        return sorted(found, key=self._rank)

    def pairs(self, among: Collection[Pair] | None = None) -> set[Pair]:
        """Every pair that has a pivot and neither is the parent's nor was trained.

        ``among`` limits those with one of the parent's own languages, as in `RecipeResolver`.
        """
        found = {Pair(source, target) for source, target in self._ends() if source != target}
        trained = {module.pair for module in self._resolver.preferred}
        own = self._resolver.parent.languages
        return {
            pair
            for pair in found - trained
            if pair not in own and (among is None or not self._is_half_own(pair) or pair in among)
        }

    def _ends(self) -> Iterator[tuple[str, str]]:
        """Where two legs begin and end that meet: both trained, or one of them and one of the parent's own."""
        into, out = self._trained["target"], self._trained["source"]
        own = self._resolver.parent.languages
        tags = {end: set() if own.denoising else set(own.tags(end)) for end in ENDS}
        for language in {*into, *out}:
            trained_sources, trained_targets = into.get(language, set()), out.get(language, set())
            sources = tags["source"] if language in tags["target"] else set()
            targets = tags["target"] if language in tags["source"] else set()
            yield from ((source, target) for source in trained_sources for target in trained_targets | targets)
            yield from ((source, target) for source in sources for target in trained_targets)

    def _is_half_own(self, pair: Pair) -> bool:
        own = self._resolver.parent.languages
        return bool(own.several) and any(own.side(end, pair.language(end)) is not None for end in ENDS)

    def _rank(self, pivot: Pivot) -> tuple[int, bool, str]:
        trust = sum(_LEGS.index(leg.kind) for leg in pivot.legs)
        own = self._resolver.parent.languages
        is_own = any(own.side(end, pivot.language) is not None for end in ENDS)
        return trust, not is_own, pivot.language
