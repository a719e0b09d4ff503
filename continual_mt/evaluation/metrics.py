"""BLEU and chrF by sacreBLEU, with sacreBLEU's signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from continual_mt.errors import InputError
from continual_mt.evaluation.metric_names import MetricName
from continual_mt.evaluation.tokenization import bleu_tokenization, check_installed


@dataclass(frozen=True)
class MetricValue:
    """A corpus-level score in points (0 to 100), with sacreBLEU's signature."""

    metric: MetricName
    value: float
    signature: str


def scorers(language: str, *, lowercase: bool = False) -> dict[MetricName, Metric]:
    """Return sacreBLEU's scorer for each metric and a target language; ``lowercase`` ignores case."""
    tokenization = bleu_tokenization(language)
    return {"bleu": BLEU(tokenize=tokenization, lowercase=lowercase), "chrf": CHRF(lowercase=lowercase)}


References = Sequence[Sequence[str]]
"""One or more reference translations of a text, each with one line per sentence."""


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str,
    *,
    further: References = (),
    lowercase: bool = False,
) -> list[MetricValue]:
    """Return corpus BLEU and chrF of translations into ``language``: detokenised, and cased unless ``lowercase``.

    ``further`` has more references of the same sentences; an empty line there is no reference. Raises InputError if the
    numbers of hypotheses and references differ or are 0.
    """
    check_lines(hypotheses, references, *further)
    values: list[MetricValue] = []
    for name, scorer in scorers(language, lowercase=lowercase).items():
        result = scorer.corpus_score(list(hypotheses), reference_streams(references, further))
        values.append(MetricValue(name, result.score, str(scorer.get_signature())))
    return values


def reference_streams(references: Sequence[str], further: References = ()) -> list[list[str]]:
    """Return references in sacreBLEU's form, in which a sentence without a further reference has None.

    sacreBLEU accepts None, although its annotations do not.
    """
    others = [[line if line.strip() else None for line in one] for one in further]
    return [list(references), *cast(list[list[str]], others)]


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> float:
    """Return corpus BLEU alone, in points, with the tokenization that fits the language. Raises as `score` does."""
    return tokenized_bleu(hypotheses, references, bleu_tokenization(language))


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str], tokenization: str) -> float:
    """Return corpus BLEU with one of sacreBLEU's tokenizations, as for choosing checkpoints.

    Raises as `score` does, and MisuseError if the tokenization's package is missing.
    """
    check_lines(hypotheses, references)
    check_installed(tokenization)
    return float(BLEU(tokenize=tokenization).corpus_score(list(hypotheses), [list(references)]).score)


def check_lines(hypotheses: Sequence[str], *references: Sequence[str]) -> None:
    """Raise InputError unless there are as many hypotheses as references, and at least one."""
    for one in references:
        if len(hypotheses) != len(one) or not one:
            raise InputError(
                f"scoring: {len(hypotheses)} hypotheses and {len(one)} references; "
                "expected equal numbers, and at least one"
            )
