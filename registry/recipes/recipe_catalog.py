"""Recipes that can be run, and the recipe of a pair."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from continual_mt.artifacts.choice import Choice
from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair
from registry.database.database import Database
from registry.queries.catalog import Catalog
from registry.queries.recipe_resolver import RecipeResolver
from registry.queries.version_selection import check_used
from registry.recipes.candidates import Candidates, CandidatesReader
from registry.recipes.explanation import explained
from registry.recipes.listing import Listing, not_collecting
from registry.recipes.named_pivots import PREFIX, PivotResolver, name_of_pivot
from registry.recipes.names import check_list, kind_of, parent_in, recipe_of_name
from registry.recipes.recorded import recorded_recipe
from registry.recipes.rule import Decision, decide
from registry.records.artifacts import ModuleOutline, ParentOutline
from registry.records.pairs import PairEntry
from registry.writes.texts import Texts

_PARENTS_OWN = "parent"


class RecipeCatalog:
    """What can be run. `registry.recipes.rule` chooses between the recipes of a pair, and the versions of a module:

    ``modules`` pins versions (``de-en:2``, ``de-en@candidate``), ``test`` names a test set whose BLEU decides, and
    ``pivot`` tells whether a pair may be translated through a third language without being asked to, which takes two
    models.
    """

    def __init__(self, database: Database, catalog: Catalog, texts: Texts) -> None:
        self.catalog = catalog
        self._database = database
        self._reader = CandidatesReader(database, catalog, texts)
        self._listing = Listing(database)

    def recipes(
        self,
        parent: str | None = None,
        *,
        modules: Sequence[str] = (),
        test: str | None = None,
        pairs: Collection[Pair] | None = None,
    ) -> list[Recipe]:
        """List every recipe of one model that can be run now, with the selected module of each trained pair.

        With ``pairs`` only the recipes of these are listed.
        """
        found = []
        for owner in self._owners(parent, modules):
            resolver = self._candidates(owner, modules, test).resolver
            among = self._listing.listed(owner) if pairs is None else pairs
            found += [one for one in resolver.recipes(among) if pairs is None or one.pair in pairs]
        return found

    def selected_modules(self, parent: str | None = None) -> list[ModuleOutline]:
        """Return the selected module of each trained pair of a parent, by pair."""
        return list(self.resolver(self.catalog.parent_outline(parent).name).preferred)

    def resolver(self, parent: str, modules: Sequence[str] = ()) -> RecipeResolver:
        """The recipes of one model of a parent; ``modules`` pins versions."""
        return self._candidates(self.catalog.parent_outline(parent), modules).resolver

    def pairs(
        self,
        parent: str | None = None,
        *,
        modules: Sequence[str] = (),
        test: str | None = None,
        language: str | None = None,
        pivot: bool = True,
    ) -> list[PairEntry]:
        """Every pair that can be run now, one entry a parent: the recipe that it runs with, and how good that is.

        The score is BLEU on the test set with the most sentences, so that some lines that were scored in passing do not
        take the place of a real test set; the highest of several with different beams. With ``language`` only the pairs
        from it and into it are listed. Without, a parent of more than MOST_LISTED pairs is listed only with those of
        them that have a score, beside all that its modules were trained on or make possible between them.
        """
        with not_collecting():
            chosen: list[AnyRecipe] = []
            found_any = False
            for owner in self._owners(parent, modules):
                asked = None if language is None else owner.languages.written_in_tags(language)
                evidence = self._reader.evidence(owner, test, modules, pivot=pivot)
                candidates = self._reader.read(owner, modules, evidence, pivot=pivot)
                found = self._listing.chosen(candidates, evidence, asked)
                chosen += [one for one in found if asked in (None, one.pair.source, one.pair.target)]
                found_any |= evidence is not None and evidence.found_any
            if test is not None and not found_any:
                self._reader.check_test(test)
            return self._listing.entries(chosen)

    def recipe(
        self,
        source: str,
        target: str,
        *,
        parent: str | None = None,
        kind: str | None = None,
        xattn: str | None = None,
        modules: Sequence[str] = (),
        test: str | None = None,
        pivot: bool = True,
    ) -> AnyRecipe:
        """The recipe that a pair runs with: see `choice`."""
        return self.choice(
            source, target, parent=parent, kind=kind, xattn=xattn, modules=modules, test=test, pivot=pivot
        ).chosen

    def choice(
        self,
        source: str,
        target: str,
        *,
        parent: str | None = None,
        kind: str | None = None,
        xattn: str | None = None,
        modules: Sequence[str] = (),
        test: str | None = None,
        pivot: bool = True,
    ) -> Choice:
        """Choose the recipe of a pair; returns it with the other candidates and the reason.

        ``kind`` names it: ``original``, ``supervised``, ``bridge``, ``pivot`` and ``zero-shot`` mean the best of these;
        ``retention:MODULE`` is the original pair through a module, ``bridge:MODULE`` or a module such as ``de-en:1``
        what this was trained for, and ``pivot:PAIR+PAIR`` chains the recipes of two pairs, with ``PARENT/`` in front of
        a pair where there are several parents. ``xattn`` takes another module's cross-attention, or the ``parent``'s:
        what was trained is then a retention.

        Raises UnknownNameError, listing the pairs that can be run, and IncompatibleError for parts that do not fit or
        have no part in the pair.
        """
        if kind is not None and kind.startswith(PREFIX):
            return self._named(self._pivot(kind, Pair(source, target), parent, xattn, modules, test), kind)
        owner = self.catalog.parent_outline(parent_in(kind, modules) if parent is None else parent)
        pair = owner.languages.pair_in_tags(Pair(source, target))
        if kind is not None and kind_of(kind) is None:
            if xattn is not None:
                raise IncompatibleError(f"{kind} names the cross-attention already; leave out xattn ({xattn})")
            found = recipe_of_name(self.catalog, owner, pair, kind)
            check_used(self._reader.pinned(owner, modules).values(), found)
            if test is not None:
                self._reader.check_test(test, owner)
            return self._named(found, kind)
        pivot = (pivot and xattn is None) or kind == "pivot"
        choice = self._chosen(owner, pair, kind, modules, test, pivot=pivot)
        if test is not None and all(candidate.score is None for candidate in choice.candidates):
            self._reader.check_test(test, owner)
        if xattn is None:
            check_used(self._reader.pinned(owner, modules).values(), choice.chosen)
            return choice
        through = self._through(owner, choice.chosen, xattn, modules, test)
        check_used(self._reader.pinned(owner, modules).values(), through)
        return self._named(through, f"xattn {xattn}")

    def _named(self, recipe: AnyRecipe, name: str) -> Choice:
        return explained(Decision(recipe, f"you named {name}"), [recipe], self._listing.best_scores([recipe.digest]))

    def _chosen(
        self,
        owner: ParentOutline,
        pair: Pair,
        kind: str | None,
        modules: Sequence[str],
        test: str | None,
        *,
        pivot: bool,
    ) -> Choice:
        """Choose by rule, from the recipes of one kind or from all."""
        evidence = self._reader.evidence(owner, test, modules, pivot=pivot)
        candidates = self._reader.read(owner, modules, evidence, pair, pivot=pivot)
        ordered = candidates.of_pair(pair) if kind is None else candidates.of_kind(pair, kind)
        if not ordered:
            raise self._cannot_run(candidates, pair, kind, modules, test)
        fixed = f"you named {kind}" if kind is not None and len(ordered) == 1 else candidates.fixed(ordered[0])
        decision = decide(ordered, evidence, fixed, candidates.left_out(pair, ordered[0]))
        return explained(decision, ordered, evidence or self._listing.best_scores(recipe.digest for recipe in ordered))

    def _cannot_run(
        self, candidates: Candidates, pair: Pair, kind: str | None, modules: Sequence[str], test: str | None
    ) -> Exception:
        """The error for a pair that has no recipe, or none of a kind: it lists what can be run."""
        owner = candidates.resolver.parent
        if kind == "pivot":
            return self._pivots().none_of(pair)
        if kind is None and (left_out := candidates.pivots.of_pair(pair)):
            return UnknownNameError(
                f"{pair} runs on {owner.name} only as a pivot, {name_of_pivot(left_out[0])}, and pivots are left out "
                "here. Fix: name it as the recipe, or allow pivots"
            )
        everything = self._candidates(owner, modules, test)
        pivots = everything.pivots.pairs() if candidates.pivot else ()
        return everything.resolver.why_not(pair, None if kind is None else kind_of(kind), pivots)

    def _through(
        self, owner: ParentOutline, recipe: AnyRecipe, xattn: str, modules: Sequence[str], test: str | None
    ) -> Recipe:
        if isinstance(recipe, Pivot):
            raise IncompatibleError(
                f"xattn {xattn}: {recipe} has two cross-attentions; expected none. Fix: leave out xattn, or pivots"
            )
        resolver = self._candidates(owner, modules, test, recipe.pair).resolver
        return resolver.through(
            recipe, None if xattn == _PARENTS_OWN else self.catalog.module(xattn, parent=owner.name)
        )

    def _pivot(
        self, name: str, pair: Pair, parent: str | None, xattn: str | None, modules: Sequence[str], test: str | None
    ) -> Pivot:
        if xattn is not None:
            raise IncompatibleError(
                f"xattn {xattn}: {name} has two cross-attentions; expected none. Fix: leave out xattn"
            )
        check_list(modules)
        if test is not None:
            self._reader.check_test(test)
        return self._pivots(test).pivot(name, pair, parent=parent, modules=modules)

    def _pivots(self, test: str | None = None) -> PivotResolver:
        def choose(owner: ParentOutline, leg: Pair, pinned: Sequence[str]) -> Recipe:
            chosen = self._chosen(owner, leg, None, pinned, test, pivot=False).chosen
            assert isinstance(chosen, Recipe)
            return chosen

        return PivotResolver(self.catalog, choose, lambda owner: self._candidates(owner).resolver)

    def recipe_of(self, digest: str) -> AnyRecipe:
        """The recipe of a digest, or of its first digits, that was run or scored before.

        Raises UnknownNameError for a digest that is not known, or whose modules were deleted since.
        """
        return recorded_recipe(self._database, self.catalog, digest)

    def _candidates(
        self, owner: ParentOutline, modules: Sequence[str] = (), test: str | None = None, pair: Pair | None = None
    ) -> Candidates:
        return self._reader.read(owner, modules, self._reader.evidence(owner, test, modules), pair)

    def _owners(self, name: str | None, modules: Sequence[str]) -> Iterator[ParentOutline]:
        name = parent_in(None, modules) if name is None else name
        owners = self.catalog.parent_outlines() if name is None else [self.catalog.parent_outline(name)]
        if modules and len(owners) > 1:
            raise UnknownNameError(
                f"say which parent {', '.join(modules)} are of: {', '.join(owner.name for owner in owners)}"
            )
        yield from owners
