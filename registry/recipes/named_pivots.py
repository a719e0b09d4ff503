"""Pivots by name: ``pivot:pt-en+en-de``, or ``pivot:iberia/pt-en+germanic/en-de`` where there are several parents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from continual_mt.artifacts.pivot import Pivot, check_meeting
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import IncompatibleError, LanguageError, UnknownNameError
from continual_mt.languages import Pair
from registry.queries.catalog import Catalog
from registry.queries.recipe_resolver import RecipeResolver
from registry.queries.version_selection import check_used
from registry.records.artifacts import ModuleRecord, ParentOutline

PREFIX = "pivot:"
HOW_WRITTEN = "pivot:PAIR+PAIR, such as pivot:pt-en+en-de"
_LISTED = 5
_SHOWN = 80


class LegName(NamedTuple):
    """``iberia/pt-en``, taken apart; the parent is None where it is the only one."""

    parent: str | None
    pair: Pair

    @classmethod
    def parse(cls, text: str) -> LegName:
        """Raises LanguageError for an invalid pair."""
        parent, _, pair = text.rpartition("/")
        return cls(parent or None, Pair.parse(pair))

    def __str__(self) -> str:
        return f"{self.parent}/{self.pair}" if self.parent else str(self.pair)


def parse(name: str) -> tuple[LegName, LegName]:
    """Read the legs of ``pivot:pt-en+en-de``. Raises UnknownNameError for anything else."""
    legs = name.removeprefix(PREFIX).split("+")
    if len(legs) != 2:
        raise _not_a_pivot(name, f"has {len(legs)} legs")
    try:
        return LegName.parse(legs[0]), LegName.parse(legs[1])
    except LanguageError as error:
        raise _not_a_pivot(name, str(error)) from error


def name_of_pivot(pivot: Pivot) -> str:
    """``pivot:pt-en+en-de``; the legs of two parents have these in front."""
    several = len({leg.parent for leg in pivot.legs}) > 1
    return PREFIX + "+".join(str(LegName(leg.parent if several else None, leg.pair)) for leg in pivot.legs)


def _not_a_pivot(name: str, problem: str) -> UnknownNameError:
    return UnknownNameError(
        f"{name[:_SHOWN]}: {problem}; expected {HOW_WRITTEN}, with PARENT/ in front of a pair where there are several "
        "parents"
    )


@dataclass(frozen=True)
class PivotResolver:
    """Finds the recipes of a pivot's legs.

    ``choose`` returns the recipe of a parent's pair, with pinned modules; ``resolver`` what the parent's pairs are.
    """

    catalog: Catalog
    choose: Callable[[ParentOutline, Pair, Sequence[str]], Recipe]
    resolver: Callable[[ParentOutline], RecipeResolver]

    def pivot(self, name: str, asked: Pair, *, parent: str | None = None, modules: Sequence[str] = ()) -> Pivot:
        """Return the pivot of a name for a pair. ``parent`` is that of legs without one.

        Raises UnknownNameError for a name that is no pivot's and for legs that cannot be run, IncompatibleError for
        legs that do not meet, that end where they begin or translate another pair than ``asked``, each of which lists
        pivots of the pair that can be run, and for modules without a part in the pivot.
        """
        legs = parse(name)
        try:
            owners = [self.catalog.parent_outline(leg.parent or parent) for leg in legs]
        except UnknownNameError as error:
            raise UnknownNameError(f"{name}: {error}. {self._others(asked)}") from error
        if parent is not None and self.catalog.parent_outline(parent).name not in (owner.name for owner in owners):
            raise IncompatibleError(f"{name}: neither leg is of the parent {parent}. Fix: leave out the parent")
        first, second = (owner.languages.pair_in_tags(leg.pair) for owner, leg in zip(owners, legs, strict=True))
        asked = Pair(
            owners[0].languages.written_in_tags(asked.source), owners[1].languages.written_in_tags(asked.target)
        )
        try:
            check_meeting(first, second)
        except IncompatibleError as error:
            raise IncompatibleError(f"{name}: {error}. {self._others(asked)}") from error
        if (found := Pair(first.source, second.target)) != asked:
            raise IncompatibleError(f"{name}: translates {found}; expected a pivot of {asked}. {self._others(asked)}")
        pins = self._pins(owners, parent, modules)
        names = {owner: [record.full_name for record in records] for owner, records in pins.items()}
        try:
            into, out = (
                self.choose(owner, pair, names[owner.name]) for owner, pair in zip(owners, (first, second), strict=True)
            )
        except UnknownNameError as error:
            raise UnknownNameError(f"{name}: {error}. {self._others(asked)}") from error
        pivot = Pivot(into, out)
        check_used((record for records in pins.values() for record in records), pivot)
        return pivot

    def _pins(
        self, owners: Sequence[ParentOutline], parent: str | None, modules: Sequence[str]
    ) -> dict[str, list[ModuleRecord]]:
        """The pinned modules of each parent."""
        pins: dict[str, list[ModuleRecord]] = {owner.name: [] for owner in owners}
        only = parent or (owners[0].name if len(pins) == 1 else None)
        for name in modules:
            record = self.catalog.module(name, parent=only)
            if record.parent not in pins:
                raise IncompatibleError(f"{name} belongs to the parent {record.parent}, not to {' or '.join(pins)}")
            pins[record.parent].append(record)
        return pins

    def none_of(self, pair: Pair) -> UnknownNameError:
        """The error for a pair without a pivot that may be chosen unasked."""
        return UnknownNameError(f"{pair} has no pivot through trained pairs of one parent. {self._others(pair)}")

    def _others(self, pair: Pair) -> str:
        """What would work instead."""
        names = list(self.pivots_of(pair))
        if not names:
            return (
                f"No pivot of {pair} can be run now. Fix: add a pair from {pair.source} and one into {pair.target} "
                "that have a language in common; continual-mt pairs lists what can be run"
            )
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return f"Pivots of {pair} that can be run: {', '.join(names[:_LISTED])}{more}"

    def pivots_of(self, pair: Pair) -> Iterator[str]:
        """The names of all pivots of a pair that can be run now, by parents and language."""
        resolvers = [self.resolver(parent) for parent in self.catalog.parent_outlines()]
        several = len(resolvers) > 1
        for first, second in product(resolvers, repeat=2):
            into = {one.target for one in first.pairs_with(pair.source) if one.source == pair.source}
            out = {one.source for one in second.pairs_with(pair.target) if one.target == pair.target}
            for language in sorted(into & out):
                legs = Pair(pair.source, language), Pair(language, pair.target)
                if first.can_run(legs[0]) and second.can_run(legs[1]):
                    owners = (first.parent.name, second.parent.name) if several else (None, None)
                    yield f"{PREFIX}{'+'.join(str(LegName(*leg)) for leg in zip(owners, legs, strict=True))}"
