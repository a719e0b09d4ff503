"""Translating through a third language: the model of a pivot's first leg, then that of its second.

With ``Search.pivot_best`` above 1, several hypotheses of the first leg are translated on, and a translation's score is
the sum of both legs' scores, as in the sentence translation strategy of Utiyama and Isahara (A Comparison of Pivot
Methods for Phrase-Based Statistical Machine Translation, NAACL 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from continual_mt.artifacts.choice import Choice
from continual_mt.artifacts.pivot import Pivot
from continual_mt.inference.translator import Search, Translation, Translator, checked

Leg = TypeVar("Leg", bound=Translator, covariant=True)


class PivotModel(Translator, Generic[Leg]):
    """Two models in turn, in any back end; their weights are those of the two legs and are not copied.

    A sentence is divided into parts by each leg for itself. A translation's ``score`` is the sum of its scores in both
    legs, ``unknown`` the sum of the unknown tokens.
    """

    recipe: Pivot

    def __init__(self, recipe: Pivot, first: Leg, second: Leg, why: Choice | None = None) -> None:
        self.recipe, self.first, self.second, self.why = recipe, first, second, why
        self.pair, self.source, self.target = recipe.pair, first.source, second.target

    def because(self, why: Choice) -> PivotModel[Leg]:
        """The same model with the choice that its recipe is the result of."""
        return PivotModel(self.recipe, self.first, self.second, why)

    @property
    def legs(self) -> tuple[Leg, Leg]:
        return self.first, self.second

    def translations(
        self, sentences: Sequence[str], search: Search, progress: Callable[[int], None] | None = None
    ) -> list[list[Translation]]:
        count, scored = len(checked(sentences)), search.scored or search.pivot_best > 1
        report = progress or (lambda done: None)
        # Each leg is half of the work.
        into = self.first.translations(
            sentences, replace(search, best=search.pivot_best, scored=scored), lambda done: report(done // 2)
        )
        texts = [one_line(middle.text) for several in into for middle in several]
        out = iter(
            self.second.translations(
                texts, replace(search, scored=scored), lambda done: report((count + done // search.pivot_best) // 2)
            )
        )
        return [_best(((middle, next(out)) for middle in several), search.best) for several in into]


def one_line(text: str) -> str:
    """Return a translation as a sentence to translate: a tokenizer that spells bytes may have written a line break."""
    return " ".join(text.splitlines())


def _best(found: Iterable[tuple[Translation, list[Translation]]], count: int) -> list[Translation]:
    """Return the ``count`` translations with the highest sums of scores; of equal texts only the best is kept."""
    candidates = [
        Translation(last.text, middle.score + last.score, middle.unknown + last.unknown)
        for middle, several in found
        for last in several
    ]
    best: dict[str, Translation] = {}
    for one in sorted(candidates, key=lambda one: one.score, reverse=True):
        best.setdefault(one.text, one)
    return list(best.values())[:count]
