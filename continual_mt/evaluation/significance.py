"""Significance tests between two translations of the same text: sacreBLEU's paired bootstrap resampling."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result

from continual_mt.evaluation.language_identification import check_known
from continual_mt.evaluation.metric_names import METRICS, MetricName, is_higher_better
from continual_mt.evaluation.metrics import References, check_lines, reference_streams, scorers

RESAMPLES = 1000
SIGNIFICANCE_LEVEL = 0.05
Verdict = Literal["the first is better", "the second is better", "no difference beyond chance"]
SEED = 12345
_SEED_VARIABLE = "SACREBLEU_SEED"


@dataclass(frozen=True)
class Comparison:
    """The scores of two translations of the same text in one metric, in points; ``difference`` is second − first.

    ``p_value`` is two-sided: the probability of a difference at least this large if the translations were equally good.
    """

    metric: MetricName
    first: float
    second: float
    p_value: float
    resamples: int
    signature: str

    @property
    def difference(self) -> float:
        return self.second - self.first

    @property
    def verdict(self) -> Verdict:
        """Which translation is better, if the difference is significant (p < 0.05)."""
        if self.p_value >= SIGNIFICANCE_LEVEL or not self.difference:
            return "no difference beyond chance"
        is_second_higher = self.difference > 0
        return "the second is better" if is_second_higher == is_higher_better(self.metric) else "the first is better"

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "first": self.first,
            "second": self.second,
            "difference": self.difference,
            "p_value": self.p_value,
            "verdict": self.verdict,
            "resamples": self.resamples,
            "signature": self.signature,
        }


def compare(
    first: Sequence[str],
    second: Sequence[str],
    references: Sequence[str],
    language: str,
    metrics: Sequence[MetricName] = METRICS,
    *,
    further: References = (),
    lowercase: bool = False,
) -> list[Comparison]:
    """Compare two translations into ``language`` by paired bootstrap resampling, in each metric.

    The test (Koehn, *Statistical Significance Tests for Machine Translation Evaluation*, EMNLP 2004) is sacreBLEU's,
    with 1,000 resamples and a fixed seed, so that results are reproducible; signatures contain both. The p-value is 1
    if the scores are equal. ``further`` references and ``lowercase`` are those of `score`; so is ``offtarget`` missing
    where the language is not known. Raises InputError if the numbers of sentences differ or are 0, and LanguageError if
    ``offtarget`` is the only metric and not known for the language.
    """
    check_lines(first, references, *further)
    check_lines(second, references)
    known = scorers(language, metrics, lowercase=lowercase)
    if not known:
        check_known(language)
    streams = reference_streams(references, further)
    return [
        _compare(metric, known[metric], list(first), list(second), streams) for metric in metrics if metric in known
    ]


def _compare(
    name: MetricName, scorer: Metric, first: list[str], second: list[str], references: list[list[str]]
) -> Comparison:
    with _fixed_seed():
        test = PairedTest([("first", first), ("second", second)], {name: scorer}, references, "bs", RESAMPLES)
        signatures, scores = test()
    (title, signature), *_ = signatures.items()
    first_result, second_result = (result for result in scores[title] if isinstance(result, Result))
    # sacreBLEU counts the resamples with a strictly larger difference, which would give equal translations the smallest
    # possible p-value.
    p_value = (
        1.0 if first_result.score == second_result.score or second_result.p_value is None else second_result.p_value
    )
    return Comparison(name, first_result.score, second_result.score, p_value, RESAMPLES, str(signature))


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """Set the environment variable that sacreBLEU takes its seed from, and restore it afterwards."""
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(SEED)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before
