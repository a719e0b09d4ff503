"""Evaluation: recipes scored on the test sets of their pairs, and the scores registered."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continual_mt.artifacts.recipe import Recipe
from continual_mt.evaluation import metrics
from registry.corpora import ResolvedTest, with_text
from registry.records.samples import Sample
from registry.records.scores import ScoreRecord

if TYPE_CHECKING:
    from registry.registry import Registry

SAMPLES = 3


@dataclass(frozen=True)
class Evaluation:
    """A recipe on a test set: one score per metric, and the first sentences."""

    recipe: Recipe
    scores: tuple[ScoreRecord, ...]
    samples: tuple[Sample, ...]

    @property
    def title(self) -> str:
        """The pair and the kind of recipe, and the module whose cross-attention a retention uses."""
        through = self.recipe.cross_attention if self.recipe.kind == "retention" else None
        return f"{self.recipe.pair} {self.recipe.kind}" + (f" through {through.name}" if through else "")


def evaluate(
    registry: Registry, recipe: Recipe, test: ResolvedTest, beam: int, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Translate a test set in this process, and register the scores."""
    hypotheses = registry.run(recipe).translate(test.sources, beam=beam, progress=progress)
    return register_evaluation(registry, recipe, test, beam, hypotheses)


def register_evaluation(
    registry: Registry, recipe: Recipe, test: ResolvedTest, beam: int, hypotheses: Sequence[str]
) -> Evaluation:
    """Score translations and register the scores, with the text, so that any metric can be computed later."""
    copies = {value.metric: value.value for value in metrics.score(test.sources, test.references, test.pair.target)}
    registry.register_corpus(with_text(registry, test))
    kept = registry.texts.store(hypotheses)
    records = registry.register_scores(
        [
            ScoreRecord.of(
                recipe,
                test=test.name,
                test_digest=test.digest,
                metric=value.metric,
                value=value.value,
                copy_value=copies[value.metric],
                signature=value.signature,
                sentences=len(test.references),
                beam=beam,
                hypotheses=kept,
            )
            for value in metrics.score(hypotheses, test.references, test.pair.target)
        ]
    )
    first = zip(test.sources[:SAMPLES], hypotheses, test.references, strict=False)
    return Evaluation(recipe, tuple(records), tuple(Sample(*sample) for sample in first))


def to_translate(
    recipes: Iterable[Recipe], tests: Sequence[ResolvedTest], known: Container[tuple[str, str]] = ()
) -> list[tuple[Recipe, ResolvedTest]]:
    """Which recipes have to translate which test sets of their pairs, each once.

    ``known`` are the digests of a recipe and a test set whose scores need not be measured again.
    """
    pairs = {
        (recipe.digest, test.digest): (recipe, test) for recipe in recipes for test in tests if test.pair == recipe.pair
    }
    return [pair for digests, pair in pairs.items() if digests not in known]


def scored(registry: Registry, parent: str, beam: int) -> set[tuple[str, str]]:
    """The digests of every recipe of a parent and test set that have scores with this beam."""
    scores = registry.scores(parent=parent)
    return {(score.recipe, score.test_digest) for score in scores if score.beam == beam}
