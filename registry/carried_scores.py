"""Scores carried forward: a test set is not translated again while the logits on it are bit-equal.

Zero forgetting stays measured: a score is carried only after the logits of the first sentences of the test set were
computed again, and their digest is the one noted with the score, on the same kind of machine and the same versions.
A metric that the earlier scores lack, since it came later, is computed from the translations that were kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import CorruptionError
from continual_mt.evaluation.language_identification import signature
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.evaluation.metrics import scorers
from continual_mt.evaluation.tokenization import bleu_tokenization
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation, NotedLogits, computed_on, first_samples, noted_logits, register_evaluation
from registry.records.scores import ScoreRecord

if TYPE_CHECKING:
    from registry.registry import Registry

FIRST_METRICS = ("bleu", "chrf")
"""Those that every version computed."""


def carried_evaluations(
    registry: Registry,
    work: Sequence[tuple[Recipe, ResolvedTest]],
    beam: int,
    progress: Callable[[int], None] | None = None,
) -> dict[tuple[str, str], Evaluation]:
    """Return the evaluations of ``work`` that need no translation, by the digests of recipe and test set.

    Each takes one forward pass over a few sentences. ``progress`` is called with the number of pairs compared. Raises
    CorruptionError for damaged weights.
    """
    noted = _noted_scores(registry, work[0][0].parent, beam) if work else {}
    carried: dict[tuple[str, str], Evaluation] = {}
    for done, (recipe, test) in enumerate(work, start=1):
        key = recipe.digest, test.digest
        scores = noted.get(key, {})
        if scores and noted_logits(registry.run(recipe), test).digest == scores["bleu"].logits:
            with suppress(CorruptionError):  # without the text of the translations the test set is translated again
                carried[key] = _carried(registry, recipe, test, scores)
        if progress:
            progress(done)
    return carried


def _carried(registry: Registry, recipe: Recipe, test: ResolvedTest, scores: Mapping[str, ScoreRecord]) -> Evaluation:
    """Noted scores as an evaluation, with those of later metrics. Raises CorruptionError if the text is missing."""
    one = scores["bleu"]
    hypotheses = registry.texts.read(one.hypotheses or "")
    missing = [metric for metric in scorers(test.pair.target) if metric not in scores]
    found = dict(scores)
    if missing:
        logits = NotedLogits(one.logits or "", one.computed_on or "")
        added = register_evaluation(registry, recipe, test, one.beam, hypotheses, logits, only=missing)
        found |= {score.metric: score for score in added.scores}
    ordered = tuple(found[metric] for metric in METRICS if metric in found)
    return Evaluation(recipe, ordered, first_samples(test, hypotheses), carried=True)


def _is_computed_as_now(score: ScoreRecord) -> bool:
    """Whether BLEU has the tokenization that fits its language, and languages were identified by this library.

    An earlier version may have used another.
    """
    if score.metric == "offtarget":
        fields = score.signature.split("|")
        return all(f"{name}:{value}" in fields for name, value in signature().items())
    fitting = f"|tok:{bleu_tokenization(score.pair.target)}|"
    return "|tok:" not in score.signature or fitting in score.signature


def _noted_scores(registry: Registry, parent: str, beam: int) -> dict[tuple[str, str], dict[str, ScoreRecord]]:
    """Sets of scores by metric, BLEU and chrF at least, with logits that this machine can compute again."""
    here = computed_on()
    found: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for score in registry.scores(parent=parent):
        noted = score.logits and score.hypotheses and score.computed_on == here
        if score.beam == beam and noted and _is_computed_as_now(score):
            found.setdefault((score.recipe, score.test_digest), {})[score.metric] = score
    complete = {key: scores for key, scores in found.items() if scores.keys() >= set(FIRST_METRICS)}
    return {
        key: scores
        for key, scores in complete.items()
        if len({(score.logits, score.hypotheses) for score in scores.values()}) == 1
    }
