"""Evaluation: recipes scored on the test sets of their pairs, and the scores registered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import Recipe
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.evaluation import metrics
from continual_mt.evaluation.metric_names import METRICS, MetricName
from registry.corpora import ResolvedTest, with_references, with_text
from registry.records.samples import Sample
from registry.records.scores import ScoreRecord

if TYPE_CHECKING:
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.inference.torch_model import PairModel
    from registry.registry import Registry

SAMPLES = 3
LOGITS_SENTENCES = 200
"""The sentences of a test set, from its first, whose logits are noted with a score."""


@dataclass(frozen=True)
class Evaluation:
    """A recipe on a test set: one score per metric, and the first sentences.

    ``carried``: nothing was translated, since the logits are those that are noted with earlier scores.
    """

    recipe: AnyRecipe
    scores: tuple[ScoreRecord, ...]
    samples: tuple[Sample, ...]
    carried: bool = False

    @property
    def title(self) -> str:
        """The pair and the kind of recipe, and the module whose cross-attention a retention uses."""
        recipe = self.recipe
        through = recipe.cross_attention if isinstance(recipe, Recipe) and recipe.kind == "retention" else None
        return f"{recipe.pair} {recipe.kind}" + (f" through {through.name}" if through else "")


@dataclass(frozen=True)
class NotedLogits:
    """The digest of a recipe's logits on a test set, and the machine and versions that computed them.

    A pivot has none: its second model reads what the first one wrote.
    """

    digest: str | None
    computed_on: str


def noted_logits(model: PairModel | PivotModel[PairModel], test: ResolvedTest) -> NotedLogits:
    """Digest the logits of the first LOGITS_SENTENCES of a test set, in float32 and one thread.

    Sums in several threads are added in another order, so that their bits depend on the number of threads.
    """
    import torch

    from continual_mt.inference.pivot_model import PivotModel

    if isinstance(model, PivotModel):
        return NotedLogits(None, computed_on())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chosen = slice(LOGITS_SENTENCES)
        return NotedLogits(model.logits_digest(test.sources[chosen], test.references[chosen]), computed_on())
    finally:
        torch.set_num_threads(threads)


@cache
def computed_on() -> str:
    """The kind of machine and the versions that scores and logits depend on."""
    import torch

    from continual_mt.training.environment import environment

    here = environment(torch.device("cpu"), torch.float32, workers=1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("continual-mt", "torch", "sentencepiece", "sacrebleu"))
    return f"{here['processor']}; {versions}"


def evaluate(
    registry: Registry,
    recipe: AnyRecipe,
    test: ResolvedTest,
    beam: int,
    progress: Callable[[int], None] | None = None,
    *,
    references: Sequence[TextPlace] = (),
    lowercase: bool = False,
) -> Evaluation:
    """Translate a test set in this process, and register the scores that pairs are shown with.

    With files of further ``references``, or with ``lowercase``, the same translations are scored in this way, too, and
    these scores are registered beside the others and returned. Raises CorpusError for files that do not fit.
    """
    variant = with_references(test, references) if references else test
    model = registry.run(recipe)
    hypotheses = model.translate(test.sources, beam=beam, progress=progress)
    logits = noted_logits(model, test)
    plain = register_evaluation(registry, recipe, test, beam, hypotheses, logits)
    if variant is test and not lowercase:
        return plain
    return register_evaluation(registry, recipe, variant, beam, hypotheses, logits, lowercase=lowercase)


def register_evaluation(
    registry: Registry,
    recipe: AnyRecipe,
    test: ResolvedTest,
    beam: int,
    hypotheses: Sequence[str],
    logits: NotedLogits,
    *,
    lowercase: bool = False,
    only: Collection[MetricName] = METRICS,
) -> Evaluation:
    """Score translations and register the scores, with the text, so that any metric can be computed later.

    ``only`` are the metrics to compute, of those that are possible for the target language.
    """

    def scored(lines: Sequence[str]) -> list[metrics.MetricValue]:
        language, further = test.pair.target, test.further
        return metrics.score(lines, test.references, language, further=further, lowercase=lowercase, metrics=only)

    copies = {value.metric: value.value for value in scored(test.sources)}
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
                logits=logits.digest,
                computed_on=logits.computed_on,
                reference_value=value.reference_value,
            )
            for value in scored(hypotheses)
        ]
    )
    return Evaluation(recipe, tuple(records), first_samples(test, hypotheses))


def first_samples(test: ResolvedTest, hypotheses: Sequence[str]) -> tuple[Sample, ...]:
    """The first SAMPLES sentences of a test set with their translations."""
    first = zip(test.sources[:SAMPLES], hypotheses, test.references, strict=False)
    return tuple(Sample(*sample) for sample in first)


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
