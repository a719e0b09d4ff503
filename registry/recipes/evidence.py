"""What a named test set tells: what recipes reached on it, and whether a difference is more than chance."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.errors import CorruptionError
from continual_mt.evaluation.pooled import PooledComparison, TwoTranslations, compare_pooled
from continual_mt.evaluation.significance import Comparison, compare
from continual_mt.languages import Pair
from registry.database.database import Database
from registry.queries import scores_on_test
from registry.queries.scores_on_test import ScoreOnTest
from registry.writes.texts import Texts

_logger = logging.getLogger(__name__)

CandidatesOf = Callable[[Pair], Sequence[AnyRecipe]]


class Place(NamedTuple):
    """A test set and the width of the beam that it was translated with."""

    test_digest: str
    beam: int


class Evidence:
    """Scores of recipes on the test sets of one name, read as they are asked for.

    ``parent`` is the name of the parent whose pairs the kinds of recipe are compared on, and ``candidates_of`` gives
    the recipes of one of its pairs. Scores are only compared in one place.
    """

    def __init__(self, database: Database, texts: Texts, parent: str, test: str, candidates_of: CandidatesOf) -> None:
        self.test = test
        self._database, self._texts, self._parent, self._candidates_of = database, texts, parent, candidates_of
        self._scores: dict[str, dict[Place, ScoreOnTest]] = {}
        self._compared: dict[tuple[str, str, Place], Comparison | None] = {}
        self._kinds: dict[tuple[RecipeKind, RecipeKind], PooledComparison | None] = {}

    @property
    def found_any(self) -> bool:
        """Whether any of the recipes that were asked for has a score."""
        return any(self._scores.values())

    def read(self, recipes: Iterable[AnyRecipe]) -> None:
        """Read the scores of many recipes at once, which is faster than one by one."""
        new = sorted({digest for recipe in recipes if (digest := recipe.digest) not in self._scores})
        if not new:
            return
        self._scores.update({digest: {} for digest in new})
        with self._database.read() as session:
            for score in scores_on_test.scores_on(session, self.test, self._database.listed(new)):
                self._scores[score.recipe][Place(score.test_digest, score.beam)] = score

    def score(self, recipe: AnyRecipe, place: Place | None = None) -> float | None:
        """The recipe's BLEU in a place, else the highest one; None if it has no score."""
        found = self._scores_of(recipe)
        if place is not None:
            return found[place].value if place in found else None
        return max((score.value for score in found.values()), default=None)

    def place(self, recipes: Sequence[AnyRecipe]) -> Place | None:
        """Where most of these recipes have a score, on most sentences and with the widest beam; None if none has."""
        found: dict[Place, list[ScoreOnTest]] = {}
        for recipe in recipes:
            for place, score in self._scores_of(recipe).items():
                found.setdefault(place, []).append(score)
        if not found:
            return None
        return max(found, key=lambda place: (len(found[place]), found[place][0].sentences, place.beam, place))

    def comparison(self, first: AnyRecipe, second: AnyRecipe, place: Place) -> Comparison | None:
        """Compare two recipes of a pair as `continual-mt compare` does; None if their translations were not kept."""
        key = first.digest, second.digest, place
        if key not in self._compared:
            lines = self._translations(first, second, place)
            self._compared[key] = None if lines is None else compare(*lines, metrics=("bleu",))[0]
        return self._compared[key]

    def between_kinds(self, first: RecipeKind, second: RecipeKind) -> PooledComparison | None:
        """Compare two kinds of recipe on all pairs of the parent that have translations of both; None if none has."""
        if (first, second) not in self._kinds:
            found = list(self._of_both(first, second))
            self._kinds[first, second] = compare_pooled(found) if found else None
        return self._kinds[first, second]

    def _of_both(self, first: RecipeKind, second: RecipeKind) -> Iterator[TwoTranslations]:
        with self._database.read() as session:
            kinds = scores_on_test.kinds_scored(session, self._parent, self.test)
        candidates = {pair: self._candidates_of(pair) for pair in sorted(kinds) if kinds[pair] >= {first, second}}
        self.read(recipe for recipes in candidates.values() for recipe in recipes)
        for recipes in candidates.values():
            scored = [recipe for recipe in recipes if self._scores_of(recipe)]
            if not {first, second} <= {recipe.kind for recipe in scored}:
                continue  # what was scored is not a candidate any more
            of_kind = {recipe.kind: recipe for recipe in reversed(scored)}  # the first of each
            two = of_kind[first], of_kind[second]
            if (place := self.place(two)) is not None and (lines := self._translations(*two, place)) is not None:
                yield lines

    def _translations(self, first: AnyRecipe, second: AnyRecipe, place: Place) -> TwoTranslations | None:
        ours, theirs = (self._scores_of(recipe).get(place) for recipe in (first, second))
        if ours is None or theirs is None:
            return None
        blobs = ours.hypotheses, theirs.hypotheses, ours.references
        try:
            lines = [self._texts.read(blob) for blob in blobs if blob is not None]
        except CorruptionError as error:  # one damaged text must not make every choice fail
            _logger.warning("%s is not compared on %s: %s", first.pair, self.test, error)
            return None
        return TwoTranslations(lines[0], lines[1], lines[2], first.pair.target) if len(lines) == len(blobs) else None

    def _scores_of(self, recipe: AnyRecipe) -> dict[Place, ScoreOnTest]:
        self.read([recipe])
        return self._scores[recipe.digest]
