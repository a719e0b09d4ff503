"""Scoring: every recipe that can be run, on every test set of its pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from continual_mt.artifacts.recipe import Recipe
from continual_mt.evaluation import metrics
from dashboards.views.samples import Sample
from ray_jobs.planning.resolve import ResolvedTest
from registry import CorpusRecord, Registry, ScoreRecord

SAMPLES = 3


@dataclass(frozen=True)
class Evaluation:
    """A recipe on a test set: one score a metric, and the first sentences."""

    recipe: Recipe
    scores: tuple[ScoreRecord, ...]
    samples: tuple[Sample, ...]

    @property
    def title(self) -> str:
        """The pair and the kind of recipe; a retention says through which module."""
        through = self.recipe.cross_attention if self.recipe.kind == "retention" else None
        return f"{self.recipe.pair} {self.recipe.kind}" + (f" through {through.name}" if through else "")


def evaluate(
    registry: Registry, recipe: Recipe, test: ResolvedTest, beam: int, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Translate a test set here, and register the scores."""
    hypotheses = registry.run(recipe).translate(test.sources, beam=beam, progress=progress)
    return evaluated(registry, recipe, test, beam, hypotheses)


def evaluated(
    registry: Registry, recipe: Recipe, test: ResolvedTest, beam: int, hypotheses: Sequence[str]
) -> Evaluation:
    """Score translations, keep the text, so that any metric can be computed later, and register the scores."""
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
    samples = zip(test.sources, hypotheses, test.references, strict=True)
    return Evaluation(
        recipe, tuple(records), tuple(Sample(*sample) for sample, _ in zip(samples, range(SAMPLES), strict=False))
    )


def with_text(registry: Registry, test: ResolvedTest) -> CorpusRecord:
    """The record of a test set whose text is kept in the registry."""
    sources, references = registry.texts.store(test.sources), registry.texts.store(test.references)
    return replace(test.record, sources=sources, references=references)


def scoring_work(
    registry: Registry, recipes: Sequence[Recipe], tests: Sequence[ResolvedTest], beam: int, *, only_missing: bool
) -> list[tuple[Recipe, ResolvedTest]]:
    """Every recipe with every test set of its pair, or only those that have no score with this beam yet."""
    work = [(recipe, test) for recipe in recipes for test in tests if test.pair == recipe.pair]
    if not only_missing or not recipes:
        return work
    known = {(score.recipe, score.test_digest, score.beam) for score in registry.scores(parent=recipes[0].parent)}
    return [(recipe, test) for recipe, test in work if (recipe.digest, test.digest, beam) not in known]
