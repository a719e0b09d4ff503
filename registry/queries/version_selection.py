"""Select the module of each trained pair among its versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair
from continual_mt.model.scopes import Scope
from registry.records.artifacts import ModuleOutline

CHAMPION = "champion"
"""The alias that selects a version without being named."""


class Version(Protocol):
    """A version of a pair."""

    @property
    def pair(self) -> Pair: ...

    @property
    def version(self) -> int: ...

    @property
    def scope(self) -> Scope: ...

    @property
    def is_bridge(self) -> bool: ...


@dataclass(frozen=True)
class SelectionPolicy:
    """The rule that selects the module of each pair. The first part that applies to a pair decides:

    1. ``pinned``: the version that the caller names, by number or by alias.
    2. ``champions``: the version that the pair's alias ``champion`` is set to, until the alias is moved.
    3. ``by_test``: the versions that have a score on the test set that the caller names, the best first, as
       `registry.recipes.rule` finds it. What has no score comes last.
    4. The newest version.

    A pair that is pinned or has a champion is run with just this version. Otherwise, where ``scratch`` comes first,
    which shares nothing, the first of the others still takes part in other pairs; and so does the first that brings a
    language where a bridge comes first, which brings none.

    ``scores`` are the BLEU scores on the named test set, by pair and version. They decide only between modules of
    several pairs that bring one language on one side.
    """

    pinned: Mapping[Pair, int] = field(default_factory=dict)
    champions: Mapping[Pair, int] = field(default_factory=dict)
    by_test: Mapping[Pair, Sequence[int]] = field(default_factory=dict)
    scores: Mapping[tuple[Pair, int], float] = field(default_factory=dict)

    def fixed(self, pair: Pair) -> int | None:
        return self.pinned.get(pair, self.champions.get(pair))

    def rank(self, version: Version) -> tuple[int, int]:
        """Higher is better, among the versions of a pair."""
        order = self.by_test.get(version.pair, ())
        place = order.index(version.version) if version.version in order else len(order)
        return -place, version.version

    def score(self, version: Version) -> float:
        return self.scores.get((version.pair, version.version), float("-inf"))


NEWEST = SelectionPolicy()
_Version = TypeVar("_Version", bound=Version)


def selected_modules(versions: Iterable[_Version], choice: SelectionPolicy = NEWEST) -> list[_Version]:
    """Select the module of each pair, by pair; after it come the first of each kind that it cannot take the place of.

    These are modules that share pieces with the parent, after a ``scratch`` module, and modules that bring a language,
    after a bridge. What is fixed comes first; otherwise a bridge comes last.
    """
    of_pair: dict[Pair, list[_Version]] = {}
    for version in versions:
        of_pair.setdefault(version.pair, []).append(version)
    return [version for pair in sorted(of_pair) for version in _ranked(of_pair[pair], choice)]


def _ranked(versions: Sequence[_Version], choice: SelectionPolicy) -> list[_Version]:
    number = choice.fixed(versions[0].pair)
    fixed = [version for version in versions if version.version == number]
    if number is not None and not any(version.is_bridge for version in fixed):
        return fixed[:1]
    first: dict[tuple[bool, bool], _Version] = {}
    for version in [*fixed, *sorted(versions, key=choice.rank, reverse=True)]:
        shares_nothing = version.scope == "scratch" and not version.is_bridge
        first.setdefault((version.is_bridge, shares_nothing), version)
    bridges = [version for version in first.values() if version.is_bridge]
    others = [version for version in first.values() if not version.is_bridge]
    if others and others[0].scope != "scratch":
        del others[1:]
    return [*bridges, *others] if fixed else [*others, *bridges]


def check_used(pinned: Iterable[ModuleOutline], recipe: AnyRecipe) -> None:
    """Raise IncompatibleError, naming them, unless all pinned modules have a part in a recipe."""
    if idle := [module.full_name for module in pinned if module.key not in recipe.modules]:
        raise IncompatibleError(f"{', '.join(idle)} has no part in the recipe {recipe}; leave it out")
