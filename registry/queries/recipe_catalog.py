"""Recipes that can be run, and the recipe of a pair."""

from __future__ import annotations

import gc
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product

from sqlalchemy import select

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import IncompatibleError, InputError, RegistryError, UnknownNameError
from continual_mt.languages import Pair
from registry.database import schema
from registry.database.database import Database
from registry.database.row_mapping import recipe_record
from registry.queries.catalog import Catalog, parent_id
from registry.queries.pivot_recipes import HOW_WRITTEN, PREFIX, PivotResolver
from registry.queries.recipe_resolver import PREFERENCE, RecipeResolver
from registry.queries.selectable_modules import candidates, champions_of, scores_on, versions_of
from registry.queries.version_selection import SelectionPolicy, check_used
from registry.records.artifacts import ModuleOutline, ModuleRecord, ParentOutline
from registry.records.pairs import BestScore, PairEntry
from registry.records.recipes import RecipeRecord

LEAST_DIGITS = 8
MOST_LISTED = 100
"""The most pairs of a parent that are all listed, whether or not they have a score."""
_RETENTION = "retention:"
_PARENTS_OWN = "parent"
_DIGEST = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")
_ROWS_AT_ONCE = 500  # of ten thousand, so that few are held beside the records that are made of them


class RecipeCatalog:
    """What can be run. `SelectionPolicy` chooses the module of each trained pair:

    ``modules`` pins versions (``de-en:2``, ``de-en@candidate``) and ``test`` names the test set whose BLEU decides.
    """

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self.catalog = catalog
        self._database = database

    def recipes(
        self,
        parent: str | None = None,
        *,
        modules: Sequence[str] = (),
        test: str | None = None,
        pairs: Collection[Pair] | None = None,
    ) -> list[Recipe]:
        """List every recipe that can be run now, with the selected module of each trained pair.

        With ``pairs`` only the recipes of these are listed.
        """
        found = []
        for resolver in self._resolvers(parent, modules, test):
            among = self._listed(resolver) if pairs is None else pairs
            found += [one for one in resolver.recipes(among) if pairs is None or one.pair in pairs]
        return found

    def selected_modules(self, parent: str | None = None) -> list[ModuleOutline]:
        """Return the selected module of each trained pair of a parent, by pair."""
        return list(self._resolver(self.catalog.parent_outline(parent)).preferred)

    def pairs(
        self,
        parent: str | None = None,
        *,
        modules: Sequence[str] = (),
        test: str | None = None,
        language: str | None = None,
    ) -> list[PairEntry]:
        """Every pair that can be run now, one entry a parent: its best recipe, and how good that one is.

        The score is BLEU on the test set with the most sentences, so that some lines that were scored in passing do not
        take the place of a real test set; the highest of several with different beams. With ``language`` only the pairs
        from it and into it are listed. Without, a parent of more than MOST_LISTED pairs is listed only with those of
        them that have a score, beside all that its modules were trained on or make possible between them.
        """
        with not_collecting():
            chosen = []
            for resolver in self._resolvers(parent, modules, test):
                asked = None if language is None else resolver.parent.languages.written_in_tags(language)
                found = resolver.pairs(self._listed(resolver, asked))
                chosen += [one for one in found if asked in (None, one.pair.source, one.pair.target)]
            digests = [recipe.digest for recipe in chosen]
            best = self._best_scores(digests)
            return [PairEntry(recipe, best.get(digest)) for recipe, digest in zip(chosen, digests, strict=True)]

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
    ) -> AnyRecipe:
        """The recipe of a pair: the best there is, or of one kind (``retention:MODULE`` for the original pair).

        The kind ``pivot:PAIR+PAIR`` chains the recipes of two pairs, with ``PARENT/`` in front of a pair where there
        are several parents. ``xattn`` takes another module's cross-attention, or the ``parent``'s: what was trained is
        then a retention. Raises UnknownNameError, listing the pairs that can be run, and IncompatibleError for parts
        that do not fit or have no part in the pair.
        """
        if kind is not None and kind.startswith(PREFIX):
            return self._pivot(kind, Pair(source, target), parent, xattn, modules, test)
        owner = self.catalog.parent_outline(parent)
        pair = owner.languages.pair_in_tags(Pair(source, target))
        recipe = self._chosen(pair, owner, kind, xattn, modules, test)
        check_used(self._pinned(owner, modules).values(), recipe)
        return recipe

    def _pivot(
        self, name: str, pair: Pair, parent: str | None, xattn: str | None, modules: Sequence[str], test: str | None
    ) -> Pivot:
        if xattn is not None:
            raise IncompatibleError(
                f"xattn {xattn}: {name} has two cross-attentions; expected none. Fix: leave out xattn"
            )
        _check_list(modules)

        def choose(owner: ParentOutline, leg: Pair, pinned: Sequence[str]) -> Recipe:
            return self._chosen(leg, owner, None, None, pinned, test)

        return PivotResolver(self.catalog, choose, self._resolver).pivot(name, pair, parent=parent, modules=modules)

    def _chosen(
        self,
        pair: Pair,
        owner: ParentOutline,
        kind: str | None,
        xattn: str | None,
        modules: Sequence[str],
        test: str | None,
    ) -> Recipe:
        if kind is not None and kind.startswith(_RETENTION):
            if xattn is not None:
                raise IncompatibleError(f"{kind} names the cross-attention already; leave out xattn ({xattn})")
            module = self.catalog.module(kind.removeprefix(_RETENTION), parent=owner.name)
            resolver = RecipeResolver.of(owner, [])
            if not resolver.can_run(pair):
                raise UnknownNameError(
                    f"{kind}: retention is measured on the pairs of the parent {owner.name}, not of {pair}; "
                    f"expected a pair of {owner.languages}"
                )
            return resolver.through(resolver.choose(pair, "original"), module)
        if kind is not None and kind not in PREFERENCE:
            raise UnknownNameError(
                f"unknown kind of recipe {kind[:80]!r}; expected one of: {', '.join(PREFERENCE)}, retention:MODULE, "
                f"{HOW_WRITTEN}"
            )
        resolver = self._resolver(owner, modules, test, pair)
        if not resolver.can_run(pair):
            resolver = self._resolver(owner, modules, test)  # whose error lists every pair
        recipe = resolver.choose(pair, kind)
        if xattn is None:
            return recipe
        return resolver.through(
            recipe, None if xattn == _PARENTS_OWN else self.catalog.module(xattn, parent=owner.name)
        )

    def recipe_of(self, digest: str) -> AnyRecipe:
        """The recipe of a digest, or of its first digits, that was run or scored before.

        Raises UnknownNameError for a digest that is not known, or whose modules were deleted since.
        """
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise UnknownNameError(
                f"{str(digest)[:80]!r} is not the digest of a recipe: it has to be {LEAST_DIGITS} to 64 hexadecimal "
                "digits in small letters; a pair is given by two languages, such as ('de', 'en')"
            )
        with self._database.read() as session:
            rows = session.scalars(
                select(schema.Recipe).where(schema.Recipe.digest.between(digest, digest.ljust(64, "f"))).limit(2)
            ).all()
            if not rows:
                raise UnknownNameError(
                    f"unknown recipe {digest}: it was never run or scored with the registry in {self.catalog.name}; "
                    "it may be of another registry, from which its modules can be exported"
                )
            if len(rows) > 1:
                raise UnknownNameError(f"several recipes begin with {digest}; write more of its digits")
            found = recipe_record(rows[0])
        if not found.legs:
            return self._rebuilt(found)
        first, second = map(self._rebuilt, found.legs)
        return Pivot(first, second)

    def _rebuilt(self, record: RecipeRecord) -> Recipe:
        names = record.source, record.cross_attention, record.target
        with self._database.read() as session:
            contents = [candidates(session, record.parent, name) for name in names]
        parent = self.catalog.parent_outline(record.parent)
        for keys in product(*contents):
            recipe = Recipe(
                record.kind, record.pair, parent.name, parent.fingerprint, *keys, several=parent.languages.several
            )
            if recipe.digest == record.digest:
                return recipe
        for name in record.modules:
            self.catalog.module(name)  # raises UnknownNameError if it was deleted
        raise RegistryError(
            f"no modules of {self.catalog.name} have the contents of the recipe {record.digest}; "
            "its database was changed from outside"
        )

    def _listed(self, resolver: RecipeResolver, language: str | None = None) -> Collection[Pair] | None:
        """Of the pairs in which a parent's own languages take part untrained, those that are listed; None for all."""
        parent = resolver.parent
        if len(parent.languages.sources) * len(parent.languages.targets) <= MOST_LISTED:
            return None
        if language is not None:
            return resolver.pairs_with(language)
        score = schema.Score
        query = select(score.source, score.target).where(score.parent_id == parent_id(parent.name)).distinct()
        query = query.where(score.kind != "pivot")
        with self._database.read() as session:
            return {Pair(*pair) for pair in session.execute(query)}

    def _best_scores(self, digests: Iterable[str]) -> dict[str, BestScore]:
        """The scores that recipes are shown with, by the recipes' digests."""
        # In the order of the index, so that one look-up finds in memory what the one before it read.
        scores, asked = schema.Score.__table__, self._database.listed(sorted(digests))
        columns = [scores.c[name] for name in ("recipe_digest", *BestScore._fields)]
        query = select(*columns).select_from(asked.join(scores, scores.c.recipe_digest == asked.c.value))
        query = query.where(scores.c.shown)
        with self._database.read() as session:
            batches = session.execute(query).partitions(_ROWS_AT_ONCE)
            return {row[0]: BestScore._make(row[1:]) for rows in batches for row in rows}

    def _resolvers(self, name: str | None, modules: Sequence[str], test: str | None) -> list[RecipeResolver]:
        parents = self.catalog.parent_outlines() if name is None else [self.catalog.parent_outline(name)]
        if modules and len(parents) > 1:
            raise UnknownNameError(
                f"say which parent {', '.join(modules)} are of: {', '.join(p.name for p in parents)}"
            )
        return [self._resolver(parent, modules, test) for parent in parents]

    def resolver(self, parent: str, modules: Sequence[str] = ()) -> RecipeResolver:
        """The recipes of a parent; ``modules`` pins versions."""
        return self._resolver(self.catalog.parent_outline(parent), modules)

    def _resolver(
        self,
        parent: ParentOutline,
        modules: Sequence[str] = (),
        test: str | None = None,
        pair: Pair | None = None,
    ) -> RecipeResolver:
        """The resolver of the selected modules of all trained pairs, or of those alone that ``pair`` may be made of."""
        pinned = self._pinned(parent, modules)
        with self._database.read() as session:
            champions = champions_of(session, parent.name, pair)
            versions = versions_of(session, parent.name, pair, newest=test is None)
            scores = scores_on(session, parent.name, test, pair) if test is not None else {}
        choice = SelectionPolicy(_numbers(pinned), _numbers(champions), scores)
        # A champion that is also the newest version is listed twice.
        taken = [version for version in dict.fromkeys([*champions.values(), *versions]) if version.pair not in pinned]
        named = [record for record in pinned.values() if pair is None or _has_part_in(record, pair)]
        return RecipeResolver.of(parent, [*taken, *named], choice)

    def _pinned(self, parent: ParentOutline, names: Iterable[str]) -> dict[Pair, ModuleRecord]:
        _check_list(names)
        pinned: dict[Pair, ModuleRecord] = {}
        for name in names:
            record = self.catalog.module(name, parent=parent.name)
            if record.parent != parent.name:
                raise IncompatibleError(f"{name} belongs to the parent {record.parent}, not to {parent.name}")
            other = pinned.setdefault(record.pair, record)
            if other != record:
                raise IncompatibleError(f"both {other.full_name} and {record.full_name} are given; say which one")
        return pinned


def _has_part_in(module: ModuleOutline, pair: Pair) -> bool:
    return module.pair == pair or any(module.brings(end) == pair.language(end) for end in ENDS)


def _check_list(names: Iterable[str]) -> None:
    if isinstance(names, str):
        raise InputError(f"modules is a string; expected a list of names; write modules=[{names[:80]!r}]")


def _numbers(modules: Mapping[Pair, ModuleOutline]) -> dict[Pair, int]:
    return {pair: module.version for pair, module in modules.items()}


@contextmanager
def not_collecting() -> Iterator[None]:
    """Pause Python's garbage collector, which would look through tens of thousands of records that all stay."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
