"""BLEU, chrF and chrF++ by sacreBLEU, and the off-target rate in the same form, with sacreBLEU's signatures."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import cast

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from continual_mt.errors import InputError
from continual_mt.evaluation.language_identification import is_known, off_target_rate
from continual_mt.evaluation.metric_names import METRICS, MetricName
from continual_mt.evaluation.off_target import OffTarget
from continual_mt.evaluation.tokenization import bleu_tokenization, check_installed


@dataclass(frozen=True)
class MetricValue:
    """A corpus-level score in points (0 to 100), with its signature.

    ``reference_value`` is the off-target rate of the references themselves; None in the other metrics.
    """

    metric: MetricName
    value: float
    signature: str
    reference_value: float | None = None


def scorers(
    language: str, metrics: Container[MetricName] = METRICS, *, lowercase: bool = False
) -> dict[MetricName, Metric]:
    """Return the scorer of each of ``metrics`` for a target language; ``lowercase`` ignores case.

    ``offtarget`` is left out for languages that language identification does not know.
    """
    possible: dict[MetricName, Callable[[], Metric]] = {
        "bleu": lambda: BLEU(tokenize=bleu_tokenization(language), lowercase=lowercase),
        "chrf": lambda: CHRF(lowercase=lowercase),
        "chrfpp": lambda: CHRF(word_order=2, lowercase=lowercase),
    }
    # Only a question about it loads the model of language identification.
    if "offtarget" in metrics and is_known(language):
        possible["offtarget"] = lambda: OffTarget(language)
    return {name: scorer() for name, scorer in possible.items() if name in metrics}


References = Sequence[Sequence[str]]
"""One or more reference translations of a text, each with one line per sentence."""


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str,
    *,
    further: References = (),
    lowercase: bool = False,
    metrics: Container[MetricName] = METRICS,
) -> list[MetricValue]:
    """Return the corpus scores of translations into ``language``: detokenised, and cased unless ``lowercase``.

    ``further`` has more references of the same sentences; an empty line there is no reference. ``offtarget`` is missing
    for languages that language identification does not know. Raises InputError if the numbers of hypotheses and
    references differ or are 0.
    """
    check_lines(hypotheses, references, *further)
    values: list[MetricValue] = []
    for name, scorer in scorers(language, metrics, lowercase=lowercase).items():
        result = scorer.corpus_score(list(hypotheses), reference_streams(references, further))
        of_references = off_target_rate(references, language) if name == "offtarget" else None
        values.append(MetricValue(name, result.score, str(scorer.get_signature()), of_references))
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
