"""Scores carried forward: a test set is not translated again while the logits on it are bit-equal.

Zero forgetting stays measured: a score is carried only after the logits of the first sentences of the test set were
computed again, and their digest is the one noted with the score, on the same kind of machine and the same versions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import CorruptionError
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.evaluation.tokenization import bleu_tokenization
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation, computed_on, first_samples, noted_logits
from registry.records.scores import ScoreRecord

if TYPE_CHECKING:
    from registry.registry import Registry


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
        scores = noted.get(key, ())
        if scores and noted_logits(registry.run(recipe), test).digest == scores[0].logits:
            with suppress(CorruptionError):  # without the text of the translations the test set is translated again
                samples = first_samples(test, registry.texts.read(scores[0].hypotheses or ""))
                carried[key] = Evaluation(recipe, scores, samples, carried=True)
        if progress:
            progress(done)
    return carried


def _is_tokenized_as_now(score: ScoreRecord) -> bool:
    """Whether BLEU has the tokenization that fits its language; an earlier version may have used another."""
    fitting = f"|tok:{bleu_tokenization(score.pair.target)}|"
    return "|tok:" not in score.signature or fitting in score.signature


def _noted_scores(registry: Registry, parent: str, beam: int) -> dict[tuple[str, str], tuple[ScoreRecord, ...]]:
    """Complete sets of scores with logits that this machine can compute again, in the order of METRICS."""
    here = computed_on()
    found: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for score in registry.scores(parent=parent):
        noted = score.logits and score.hypotheses and score.computed_on == here
        if score.beam == beam and noted and _is_tokenized_as_now(score):
            found.setdefault((score.recipe, score.test_digest), {})[score.metric] = score
    return {
        key: tuple(scores[metric] for metric in METRICS)
        for key, scores in found.items()
        if scores.keys() >= set(METRICS) and len({(s.logits, s.hypotheses) for s in scores.values()}) == 1
    }
