"""A significance test over several test sets at once: which of two kinds of translation is better on the whole?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from continual_mt.errors import InputError
from continual_mt.evaluation.metrics import check_lines
from continual_mt.evaluation.significance import RESAMPLES, SEED, SIGNIFICANCE_LEVEL
from continual_mt.evaluation.tokenization import bleu_tokenization

Statistics = NDArray[np.float64]


class TwoTranslations(NamedTuple):
    """Two translations of one test set into ``language``, and its references; all have as many lines."""

    first: Sequence[str]
    second: Sequence[str]
    references: Sequence[str]
    language: str


@dataclass(frozen=True)
class PooledComparison:
    """The mean over ``pairs`` test sets of the difference in BLEU, second − first, in points.

    ``p_value`` is two-sided: the probability of a mean difference at least this large if both were equally good.
    """

    pairs: int
    difference: float
    p_value: float

    @property
    def is_second_better(self) -> bool:
        return self.difference > 0 and self.p_value < SIGNIFICANCE_LEVEL


def compare_pooled(found: Sequence[TwoTranslations]) -> PooledComparison:
    """Compare two kinds of translation on several test sets, of which each counts equally, by paired bootstrap.

    The sentences of each test set are drawn again 1,000 times, and the differences in corpus BLEU are averaged; the
    p-value is computed from them as sacreBLEU does for one test set (see `compare`), and holds for these pairs of
    languages, which are not drawn again. Test sets of the same size are drawn alike, since they are mostly the same
    text in several languages. Raises InputError without a test set, and as `compare` does.
    """
    if not found:
        raise InputError("no test sets to compare on; expected at least one")
    observed, resampled = np.zeros(()), np.zeros(RESAMPLES)
    for one in found:
        check_lines(one.first, one.references)
        check_lines(one.second, one.references)
        first, second = (bleu_statistics(lines, one.references, one.language) for lines in (one.first, one.second))
        drawn = draws(len(one.references))
        observed = observed + bleu_of(second.sum(axis=0)) - bleu_of(first.sum(axis=0))
        resampled += [
            bleu_of(after) - bleu_of(before) for before, after in zip(drawn @ first, drawn @ second, strict=True)
        ]
    difference, sizes = float(observed) / len(found), np.abs(resampled / len(found))
    as_large = int(np.sum(sizes - sizes.mean() > abs(difference)))
    return PooledComparison(len(found), difference, (as_large + 1) / (RESAMPLES + 1) if difference else 1.0)


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[str], language: str) -> Statistics:
    """What BLEU is computed from, one row per sentence: two lengths, then the matches and the n-grams of each order."""
    scorer = BLEU(tokenize=bleu_tokenization(language), effective_order=True)  # counts do not depend on it
    scores = [scorer.sentence_score(line, [reference]) for line, reference in zip(hypotheses, references, strict=True)]
    return np.array([[one.sys_len, one.ref_len, *one.counts, *one.totals] for one in scores], dtype=np.float64)


def draws(sentences: int) -> Statistics:
    """How often each sentence is drawn, resamples × sentences; the same at every call."""
    even = np.full(sentences, 1 / sentences)
    return np.random.default_rng(SEED).multinomial(sentences, even, size=RESAMPLES).astype(np.float64)


def bleu_of(sums: Statistics) -> float:
    """Corpus BLEU of summed statistics, in points, with sacreBLEU's default smoothing."""
    hypothesis, reference, *counts = (int(value) for value in sums)
    order = len(counts) // 2
    score = BLEU.compute_bleu(counts[:order], counts[order:], hypothesis, reference, smooth_method="exp")
    return float(score.score)
