"""The recipes that each pair of a parent could run with, in the order in which they are preferred without evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair
from registry.database.database import Database
from registry.queries import scores_on_test
from registry.queries.catalog import Catalog
from registry.queries.module_parts import shares_pieces
from registry.queries.recipe_resolver import RecipeResolver
from registry.queries.selectable_modules import champions_of, versions_of
from registry.queries.version_selection import SelectionPolicy
from registry.recipes.evidence import Evidence
from registry.recipes.names import check_list
from registry.recipes.pivots import PivotFinder
from registry.recipes.rule import by_score
from registry.records.artifacts import ModuleOutline, ModuleRecord, ParentOutline
from registry.records.names import full_name
from registry.writes.texts import Texts


@dataclass(frozen=True)
class Candidates:
    """The recipes of a parent's pairs: ``resolver`` has those of the selected modules.

    ``versions`` are all versions of each trained pair that were read, and ``pivot`` tells whether pivots count.
    """

    resolver: RecipeResolver
    versions: Mapping[Pair, Sequence[ModuleOutline]]
    pivot: bool = True

    @cached_property
    def pivots(self) -> PivotFinder:
        return PivotFinder(self.resolver)

    def of_pair(self, pair: Pair) -> list[AnyRecipe]:
        """The recipes that may be chosen for a pair, by kind, and those of trained pairs the newest first.

        What is fixed, by name or by alias, comes first. Recipes without a pinned module that others have are left out.
        The parent's own pair has a bridge only where that is named.
        """
        return self._with_pinned(self._all_of_pair(pair))

    def _with_pinned(self, recipes: list[AnyRecipe]) -> list[AnyRecipe]:
        if not self._pinned:
            return recipes
        parts = [self._pinned & {key.name for key in recipe.modules} for recipe in recipes]
        wanted = set().union(*parts)
        return [recipe for recipe, part in zip(recipes, parts, strict=True) if part == wanted] or recipes

    def _all_of_pair(self, pair: Pair) -> list[AnyRecipe]:
        found = self.resolver.of_pair(pair)
        if pair in self.resolver.parent.languages:
            return [one for one in found if one.kind == "original" or pair in self.resolver.policy.pinned]
        zero_shot = [recipe for recipe in found if recipe.kind == "zero-shot"]
        pivots = self.pivots.of_pair(pair) if self.pivot else []
        return [*self._trained(pair), *pivots, *zero_shot]

    def of_kind(self, pair: Pair, kind: str) -> list[AnyRecipe]:
        """The recipes of one kind, those included that are never chosen without it."""
        found = self._all_of_pair(pair)
        if pair in self.resolver.parent.languages:
            found = [*found, *self._trained(pair)]
        return self._with_pinned([recipe for recipe in found if recipe.kind == kind])

    def left_out(self, pair: Pair, chosen: AnyRecipe) -> str:
        """Which recipes of a pair are no candidates, beside a chosen one; empty if all are."""
        reasons = []
        if pinned := [key.name for key in chosen.modules if key.name in self._pinned]:
            reasons.append(f"you named {' and '.join(name.partition('/')[2] for name in pinned)}")
        if not self.pivot and self.pivots.of_pair(pair):
            reasons.append("pivots are left out")
        if pair in self.resolver.parent.languages and chosen.kind == "original" and self.resolver.of_pairs.get(pair):
            reasons.append("a bridge of the parent's own pair is used only where it is named")
        return "; ".join(reasons)

    @cached_property
    def _pinned(self) -> set[str]:
        """The full names of the modules that the caller names."""
        parent, pinned = self.resolver.parent.name, self.resolver.policy.pinned
        return {full_name(parent, pair.source, pair.target, version) for pair, version in pinned.items()}

    def fixed(self, first: AnyRecipe) -> str | None:
        """Why the first recipe of a pair is taken without evidence; None if evidence decides."""
        pair, policy = first.pair, self.resolver.policy
        name = f"{pair}:{policy.fixed(pair)}"
        if f"{self.resolver.parent.name}/{name}" not in (key.name for key in first.modules):
            return None
        return f"you named {name}" if pair in policy.pinned else f"the alias {pair}@champion is set to {name}"

    def _trained(self, pair: Pair) -> list[AnyRecipe]:
        number = self.resolver.policy.fixed(pair)
        selected = self.resolver.of_pairs.get(pair, ())
        modules = {module.version: module for module in (*self.versions.get(pair, ()), *selected)}
        ordered = sorted(modules.values(), key=lambda one: (one.version != number, one.is_bridge, -one.version))
        recipes: dict[str, AnyRecipe] = {}  # two versions may have the same content
        for recipe in map(self.resolver.supervised, ordered):
            recipes.setdefault(recipe.digest, recipe)
        return list(recipes.values())


class CandidatesReader:
    """Reads the candidates of a parent's pairs."""

    def __init__(self, database: Database, catalog: Catalog, texts: Texts) -> None:
        self.catalog = catalog
        self._database, self._texts = database, texts

    def evidence(
        self, parent: ParentOutline, test: str | None, modules: Sequence[str] = (), *, pivot: bool = True
    ) -> Evidence | None:
        """What a named test set tells of a parent's recipes; None without a name."""
        if test is None:
            return None

        @cache
        def everything() -> Candidates:
            return self.read(parent, modules, found, pivot=pivot)

        found = Evidence(self._database, self._texts, parent.name, test, lambda pair: everything().of_pair(pair))
        return found

    def check_test(self, test: str, parent: ParentOutline | None = None) -> None:
        """Raise UnknownNameError if nothing, or nothing of a parent, was scored on a test set of this name."""
        with self._database.read() as session:
            scores_on_test.check_test(session, test, None if parent is None else parent.name)

    def read(
        self,
        parent: ParentOutline,
        modules: Sequence[str] = (),
        evidence: Evidence | None = None,
        pair: Pair | None = None,
        *,
        pivot: bool = True,
    ) -> Candidates:
        """Read the modules of all pairs, or only of those that recipes of ``pair`` may be made of.

        ``modules`` pins versions.
        """
        pinned = self.pinned(parent, modules)
        with self._database.read() as session:
            champions = champions_of(session, parent, pair)
            versions = versions_of(session, parent, pair, newest=evidence is None and pair is None and not pinned)
        fixed = SelectionPolicy(_numbers(pinned), _numbers(champions))
        # A champion that is also the newest version is listed twice.
        taken = [version for version in dict.fromkeys([*champions.values(), *versions]) if version.pair not in pinned]
        named = [record for record in pinned.values() if pair is None or _has_part_in(record, pair)]
        policy = fixed if evidence is None else _with_evidence(fixed, parent, versions, evidence)
        resolver = RecipeResolver.of(parent, [*taken, *named], policy)
        return Candidates(resolver, _by_pair(versions), pivot)

    def pinned(self, parent: ParentOutline, names: Sequence[str]) -> dict[Pair, ModuleRecord]:
        """The modules that a caller names, by pair.

        Raises UnknownNameError, IncompatibleError for modules of other parents and for two of one pair, and InputError
        for a text in place of a list.
        """
        pinned: dict[Pair, ModuleRecord] = {}
        for name in check_list(names):
            record = self.catalog.module(name, parent=parent.name)
            if record.parent != parent.name:
                raise IncompatibleError(f"{name} belongs to the parent {record.parent}, not to {parent.name}")
            other = pinned.setdefault(record.pair, record)
            if other != record:
                raise IncompatibleError(f"both {other.full_name} and {record.full_name} are given; say which one")
        return pinned


def _with_evidence(
    policy: SelectionPolicy, parent: ParentOutline, versions: Sequence[ModuleOutline], evidence: Evidence
) -> SelectionPolicy:
    """Add what the test set tells of each trained pair's versions, unless one is fixed."""
    resolver = RecipeResolver.of(parent, [])
    recipes = {version: resolver.supervised(version) for version in versions}
    evidence.read(recipes.values())
    scored = [version for version in versions if evidence.score(recipes[version]) is not None]
    order = {
        pair: _best_first(of_pair, recipes, evidence)
        for pair, of_pair in _by_pair(scored).items()
        if policy.fixed(pair) is None
    }
    scores = {(version.pair, version.version): evidence.score(recipes[version]) or 0.0 for version in scored}
    return SelectionPolicy(policy.pinned, policy.champions, order, scores)


def _best_first(
    scored: Sequence[ModuleOutline], recipes: Mapping[ModuleOutline, AnyRecipe], evidence: Evidence
) -> list[int]:
    """The versions of a pair: the best of those that share pieces, of those that do not, and of bridges come first.

    These do not take each other's place in other pairs, so that none is compared with what does not.
    """
    newest_first = sorted(scored, key=lambda one: -one.version)
    groups: dict[tuple[bool, bool], list[ModuleOutline]] = {}
    for version in newest_first:
        groups.setdefault((version.is_bridge, shares_pieces(version)), []).append(version)
    best = [_best(group, recipes, evidence) for group in groups.values()]
    if whole := [version for version in best if not version.is_bridge]:
        first = _best(whole, recipes, evidence)
        best.sort(key=lambda one: (one is not first, one.is_bridge))
    return [version.version for version in dict.fromkeys([*best, *newest_first])]


def _best(
    newest_first: Sequence[ModuleOutline], recipes: Mapping[ModuleOutline, AnyRecipe], evidence: Evidence
) -> ModuleOutline:
    decision = by_score([recipes[version] for version in newest_first], evidence)
    chosen = recipes[newest_first[0]] if decision is None else decision.chosen
    return next(version for version in newest_first if recipes[version].digest == chosen.digest)


def _by_pair(versions: Iterable[ModuleOutline]) -> dict[Pair, list[ModuleOutline]]:
    found: dict[Pair, list[ModuleOutline]] = {}
    for version in versions:
        found.setdefault(version.pair, []).append(version)
    return found


def _has_part_in(module: ModuleOutline, pair: Pair) -> bool:
    return module.pair.source == pair.source or module.pair.target == pair.target


def _numbers(modules: Mapping[Pair, ModuleOutline]) -> dict[Pair, int]:
    return {pair: module.version for pair, module in modules.items()}
