"""BLEU and chrF by sacreBLEU, each with the signature that makes it comparable."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from continual_mt.errors import InputError, MisuseError

MetricName = Literal["bleu", "chrf"]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf")

# Languages written without spaces need another tokenization; sacreBLEU's flores and spm ones would download files.
_TOKENIZATIONS = {"zh": "zh", "ja": "ja-mecab", "th": "char", "lo": "char", "km": "char", "my": "char"}


@dataclass(frozen=True)
class MetricValue:
    """``value`` is in points, 0 to 100."""

    metric: MetricName
    value: float
    signature: str


def bleu_tokenization(language: str) -> str:
    """sacreBLEU's tokenization for a target language. Raises MisuseError when a package for it is not installed."""
    tokenization = _TOKENIZATIONS.get(language.split("_")[0], "13a")
    if tokenization == "ja-mecab" and importlib.util.find_spec("MeCab") is None:
        raise MisuseError("BLEU for Japanese needs a morphological analyser; run: pip install 'sacrebleu[ja]'")
    return tokenization


def score(hypotheses: Sequence[str], references: Sequence[str], language: str) -> list[MetricValue]:
    """BLEU and chrF of translations into ``language``, cased and detokenised, one reference each.

    Raises InputError when the numbers of lines differ or there are none.
    """
    check_lines(hypotheses, references)
    values: list[MetricValue] = []
    for name, metric in (("bleu", BLEU(tokenize=bleu_tokenization(language))), ("chrf", CHRF())):
        result = metric.corpus_score(list(hypotheses), [list(references)])
        values.append(MetricValue("bleu" if name == "bleu" else "chrf", result.score, str(metric.get_signature())))
    return values


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """BLEU alone, for choosing checkpoints. Raises as ``score`` does."""
    check_lines(hypotheses, references)
    metric = BLEU(tokenize=bleu_tokenization(language))
    return float(metric.corpus_score(list(hypotheses), [list(references)]).score)


def check_lines(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references) or not references:
        raise InputError(f"{len(hypotheses)} hypotheses cannot be scored against {len(references)} references")
