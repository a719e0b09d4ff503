"""Whether one recipe is better than another, or only luckier: sacreBLEU's paired bootstrap."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest, Result

from continual_mt.evaluation.metrics import METRICS, MetricName, bleu_tokenization, check_lines

RESAMPLES = 1000
SIGNIFICANCE_LEVEL = 0.05
Verdict = Literal["the first is better", "the second is better", "no difference beyond chance"]
SEED = 12345
_SEED_VARIABLE = "SACREBLEU_SEED"


@dataclass(frozen=True)
class Comparison:
    """One metric of two translations of the same text, in points; ``difference`` is second − first.

    ``p_value`` is two-sided: how often a difference as large would come about by the choice of sentences alone.
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
        """Which one is better, where chance alone would make such a difference less than once in twenty times."""
        if self.p_value >= SIGNIFICANCE_LEVEL or not self.difference:
            return "no difference beyond chance"
        return "the second is better" if self.difference > 0 else "the first is better"

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
) -> list[Comparison]:
    """Paired bootstrap (Koehn, *Statistical Significance Tests for Machine Translation Evaluation*, EMNLP 2004).

    It is sacreBLEU's, with 1,000 resamples and a fixed seed, so that it says the same again; the signatures have both.
    Where there is no difference the p-value is 1. Raises InputError when the numbers of lines differ or there are
    none.
    """
    check_lines(first, references)
    check_lines(second, references)
    scorers: Mapping[MetricName, Metric] = {"bleu": BLEU(tokenize=bleu_tokenization(language)), "chrf": CHRF()}
    return [_compare(metric, scorers[metric], list(first), list(second), list(references)) for metric in metrics]


def _compare(
    name: MetricName, scorer: Metric, first: list[str], second: list[str], references: list[str]
) -> Comparison:
    with _fixed_seed():
        test = PairedTest([("first", first), ("second", second)], {name: scorer}, [references], "bs", RESAMPLES)
        signatures, scores = test()
    (title, signature), *_ = signatures.items()
    first_result, second_result = (result for result in scores[title] if isinstance(result, Result))
    # No difference is less than zero, so that each resample's is as large. sacreBLEU counts those that are larger, and
    # would give the least p-value there is to two that are the same.
    p_value = (
        1.0 if first_result.score == second_result.score or second_result.p_value is None else second_result.p_value
    )
    return Comparison(name, first_result.score, second_result.score, p_value, RESAMPLES, str(signature))


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """sacreBLEU takes its seed from the environment, where ``none`` would give other p-values each time."""
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(SEED)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before
