"""What a named test set tells: what recipes reached on it, and whether a difference is more than chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.pooled import PooledComparison, TwoTranslations, compare_pooled
from continual_mt.evaluation.significance import Comparison, compare
from continual_mt.languages import Pair
from registry.database.database import Database
from registry.queries import scores_on_test
from registry.queries.scores_on_test import ScoreOnTest
from registry.writes.texts import Texts

CandidatesOf = Callable[[Pair], Sequence[AnyRecipe]]


class Evidence:
    """Scores of recipes on the test sets of one name, read as they are asked for.

    ``parent`` is the name of the parent whose pairs the kinds of recipe are compared on, and ``candidates_of`` gives
    the recipes of one of its pairs. Raises UnknownNameError if nothing of the parent was scored on this test set.
    """

    def __init__(
        self, database: Database, texts: Texts, parent: str, test: str, candidates_of: CandidatesOf = lambda pair: ()
    ) -> None:
        self.test = test
        self.candidates_of = candidates_of
        self._database, self._texts, self._parent = database, texts, parent
        self._scores: dict[str, tuple[ScoreOnTest, ...]] = {}
        self._kinds: dict[tuple[RecipeKind, RecipeKind], PooledComparison | None] = {}
        with database.read() as session:
            scores_on_test.check_test(session, parent, test)

    def read(self, recipes: Iterable[AnyRecipe]) -> None:
        """Read the scores of many recipes at once, which is faster than one by one."""
        new = sorted({recipe.digest for recipe in recipes} - self._scores.keys())
        if not new:
            return
        found: dict[str, list[ScoreOnTest]] = {digest: [] for digest in new}
        with self._database.read() as session:
            for score in scores_on_test.scores_on(session, self.test, self._database.listed(new)):
                found[score.recipe].append(score)
        self._scores.update({digest: tuple(scores) for digest, scores in found.items()})

    def score(self, recipe: AnyRecipe) -> float | None:
        """The recipe's BLEU, the highest of several beams; None if it was not scored."""
        return max((score.value for score in self._scores_of(recipe)), default=None)

    def comparison(self, first: AnyRecipe, second: AnyRecipe) -> Comparison | None:
        """Compare two recipes of a pair as `continual-mt compare` does; None if their translations were not kept."""
        lines = self._translations(first, second)
        return None if lines is None else compare(*lines, metrics=("bleu",))[0]

    def between_kinds(self, first: RecipeKind, second: RecipeKind) -> PooledComparison | None:
        """Compare two kinds of recipe on all pairs of the parent that have a score of both; None if none has."""
        if (first, second) not in self._kinds:
            found = list(self._of_both(first, second))
            self._kinds[first, second] = compare_pooled(found) if found else None
        return self._kinds[first, second]

    def _of_both(self, first: RecipeKind, second: RecipeKind) -> Iterator[TwoTranslations]:
        with self._database.read() as session:
            kinds = scores_on_test.kinds_scored(session, self._parent, self.test)
        candidates = {pair: self.candidates_of(pair) for pair in sorted(kinds) if kinds[pair] >= {first, second}}
        self.read(recipe for recipes in candidates.values() for recipe in recipes)
        for recipes in candidates.values():
            scored = [recipe for recipe in recipes if self.score(recipe) is not None]
            two = [next((one for one in scored if one.kind == kind), None) for kind in (first, second)]
            if two[0] is not None and two[1] is not None and (lines := self._translations(two[0], two[1])) is not None:
                yield lines

    def _translations(self, first: AnyRecipe, second: AnyRecipe) -> TwoTranslations | None:
        """What both translated, of their largest test set with the widest beam, where all of it was kept."""
        ours, theirs = (
            {(score.test_digest, score.beam): score for score in self._scores_of(recipe) if score.hypotheses}
            for recipe in (first, second)
        )
        common = [score for place, score in ours.items() if place in theirs and score.references]
        if not common:
            return None
        best = max(common, key=lambda score: (score.sentences, score.beam, score.test_digest))
        blobs = best.hypotheses, theirs[best.test_digest, best.beam].hypotheses, best.references
        ours_lines, theirs_lines, references = (self._texts.read(str(blob)) for blob in blobs)
        return TwoTranslations(ours_lines, theirs_lines, references, first.pair.target)

    def _scores_of(self, recipe: AnyRecipe) -> tuple[ScoreOnTest, ...]:
        self.read([recipe])
        return self._scores[recipe.digest]
