"""BLEU and chrF by sacreBLEU, with sacreBLEU's signatures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from continual_mt.errors import InputError, MisuseError
from continual_mt.evaluation.metric_names import MetricName

# Languages without spaces between words need another tokenization. sacreBLEU's flores and spm would download files.
_TOKENIZATIONS = {"zh": "zh", "ja": "ja-mecab", "th": "char", "lo": "char", "km": "char", "my": "char"}


@dataclass(frozen=True)
class MetricValue:
    """A corpus-level score in points (0 to 100), with sacreBLEU's signature."""

    metric: MetricName
    value: float
    signature: str


def bleu_tokenization(language: str) -> str:
    """Return sacreBLEU's tokenization for a target language. Raises MisuseError if its package is not installed."""
    tokenization = _TOKENIZATIONS.get(language.split("_")[0], "13a")
    if tokenization == "ja-mecab" and importlib.util.find_spec("MeCab") is None:
        raise MisuseError(
            "BLEU for Japanese: needs the MeCab tokenizer, which is not installed. Fix: pip install 'sacrebleu[ja]'"
        )
    return tokenization


def scorers(language: str) -> dict[MetricName, Metric]:
    """Return sacreBLEU's scorer for each metric and a target language. Raises as `bleu_tokenization` does."""
    return {"bleu": BLEU(tokenize=bleu_tokenization(language)), "chrf": CHRF()}


def score(hypotheses: Sequence[str], references: Sequence[str], language: str) -> list[MetricValue]:
    """Return corpus BLEU and chrF of translations into ``language``: cased, detokenised, one reference per sentence.

    Raises InputError if the numbers of hypotheses and references differ or are 0, and MisuseError as
    `bleu_tokenization` does.
    """
    check_lines(hypotheses, references)
    values: list[MetricValue] = []
    for name, scorer in scorers(language).items():
        result = scorer.corpus_score(list(hypotheses), [list(references)])
        values.append(MetricValue(name, result.score, str(scorer.get_signature())))
    return values


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """Return corpus BLEU alone, in points, as for choosing checkpoints. Raises as `score` does."""
    check_lines(hypotheses, references)
    metric = BLEU(tokenize=bleu_tokenization(language))
    return float(metric.corpus_score(list(hypotheses), [list(references)]).score)


def check_lines(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise InputError unless there are as many hypotheses as references, and at least one."""
    if len(hypotheses) != len(references) or not references:
        raise InputError(
            f"scoring: {len(hypotheses)} hypotheses and {len(references)} references; "
            "expected equal numbers, and at least one"
        )
