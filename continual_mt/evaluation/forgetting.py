"""Measures of forgetting over a sequence of additions, computed from a matrix of scores (position × pair).

Position 0 is the parent before any addition; position k is the state after the k-th addition. A measure over several
pairs is None if any score that it needs is missing; it is never a mean over fewer pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from continual_mt.errors import InputError, UnknownNameError
from continual_mt.evaluation.metric_names import MetricName, QualityMetric, is_higher_better
from continual_mt.languages import Pair

Points = float | None
"""A score in points (0 to 100) or a difference of two; None if it was not measured or is undefined."""


def metric_for(pairs: Iterable[Pair]) -> QualityMetric:
    """Return the metric for averages over ``pairs``: BLEU if all have the same target language, else chrF.

    BLEU counts words, so its points are not comparable between target languages. chrF (Popović, 2015) counts
    characters and depends less on a language's morphology. Raises InputError if there are no pairs.
    """
    targets = {pair.target for pair in pairs}
    if not targets:
        raise InputError("pairs: is empty; expected at least one pair to average over")
    return "bleu" if len(targets) == 1 else "chrf"


@dataclass(frozen=True)
class PairSet:
    """A named set of pairs, the same at every position. Raises InputError if it is empty or lists a pair twice."""

    name: str
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.pairs or len(set(self.pairs)) != len(self.pairs):
            raise InputError(
                f"pair set {self.name!r}: is [{', '.join(map(str, self.pairs))}]; expected one or more different pairs"
            )

    @property
    def metric(self) -> QualityMetric:
        return metric_for(self.pairs)


@dataclass(frozen=True)
class Matrix:
    """The scores of a sequence in one metric: one row per position (row 0 is the parent), one column per pair.

    A score is None if the pair could not be run or was not measured. ``trained`` maps each trained pair to its
    position, 0 for the parent's own pair; it has no zero-shot pairs. Raises InputError if there is no row, a pair is
    listed twice, or a row has another length than ``pairs``.
    """

    metric: MetricName
    pairs: tuple[Pair, ...]
    rows: tuple[tuple[Points, ...], ...]
    trained: Mapping[Pair, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("score matrix: has no rows; expected one for position 0, before the first addition")
        if len(set(self.pairs)) != len(self.pairs):
            raise InputError(f"score matrix: has columns {', '.join(map(str, self.pairs))}; expected each pair once")
        for position, row in enumerate(self.rows):
            if len(row) != len(self.pairs):
                raise InputError(
                    f"score matrix, position {position}: has {len(row)} scores; "
                    f"expected {len(self.pairs)}, one per pair"
                )

    @property
    def last(self) -> int:
        """The last position."""
        return len(self.rows) - 1

    @property
    def earlier(self) -> tuple[Pair, ...]:
        """The pairs that were trained before the last position, which later additions may have made worse."""
        return tuple(pair for pair in self.pairs if self.trained.get(pair, self.last) < self.last)

    def column(self, pair: Pair) -> tuple[Points, ...]:
        """Return a pair's score at every position. Raises UnknownNameError if the matrix has no such pair."""
        if pair not in self.pairs:
            listed = ", ".join(map(str, self.pairs)) or "none"
            raise UnknownNameError(f"score matrix: unknown pair {pair}; expected one of: {listed}")
        place = self.pairs.index(pair)
        return tuple(row[place] for row in self.rows)

    def learned(self, pair: Pair) -> int | None:
        """Return where a pair was trained; for a zero-shot pair, where it was first measured (None if never)."""
        if pair in self.trained:
            return self.trained[pair]
        return next((position for position, value in enumerate(self.column(pair)) if value is not None), None)

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "pairs": [str(pair) for pair in self.pairs],
            "trained": {str(pair): position for pair, position in self.trained.items()},
            "rows": [list(row) for row in self.rows],
        }


def averages(matrix: Matrix, pairs: PairSet) -> tuple[Points, ...]:
    """Return the mean score of a set of pairs at each position; None where a pair's score is missing.

    The value at the last position over all trained pairs is the average accuracy (ACC) of Lopez-Paz and Ranzato,
    *Gradient Episodic Memory for Continual Learning*, NeurIPS 2017, with a translation score for accuracy.
    """
    columns = [matrix.column(pair) for pair in pairs.pairs]
    return tuple(mean(values) for values in zip(*columns, strict=True))


def backward_transfer(matrix: Matrix, pairs: Collection[Pair] | None = None) -> Points:
    """Return the mean over pairs of last score − score where the pair was trained, in points.

    This is BWT of Lopez-Paz and Ranzato (NeurIPS 2017); it is negative if later additions made earlier pairs worse.
    ``pairs`` defaults to `Matrix.earlier`. None if there are no pairs or a score is missing.
    """
    return _negative(mean(forgetting(matrix, pair).since_first for pair in _pairs_or_earlier(matrix, pairs)))


@dataclass(frozen=True)
class Forgetting:
    """A pair's score where it was learned, its best score before the last position, and its last score."""

    pair: Pair
    learned: int | None
    first: Points
    best: Points
    last: Points

    @property
    def since_first(self) -> Points:
        """First − last score, in points; negative if the pair improved after it was learned."""
        return difference(self.first, self.last)

    @property
    def since_best(self) -> Points:
        """Best − last score, in points (Chaudhry et al., 2018); at least first − last."""
        return difference(self.best, self.last)

    def to_json(self) -> dict[str, object]:
        return {
            "pair": str(self.pair),
            "learned": self.learned,
            "first": self.first,
            "best": self.best,
            "last": self.last,
            "since_first": self.since_first,
            "since_best": self.since_best,
        }


def forgetting(matrix: Matrix, pair: Pair) -> Forgetting:
    """Return how much of a pair is forgotten at the last position, in both forms that the literature uses.

    First − last is the negated term of backward transfer. Best − last is the forgetting of Chaudhry, Dokania, Ajanthan
    and Torr, *Riemannian Walk for Incremental Learning*, ECCV 2018; best is the maximum over all measured positions
    before the last. Both are None if the pair was learned at the last position or not measured where it was trained.
    Raises UnknownNameError if the matrix has no such pair, and InputError if its metric is one where lower is better.
    """
    if not is_higher_better(matrix.metric):
        raise InputError(f"forgetting: the matrix has metric {matrix.metric}; expected one in which higher is better")
    column, learned = matrix.column(pair), matrix.learned(pair)
    last = column[-1]
    if learned is None or learned >= matrix.last or column[learned] is None:
        return Forgetting(pair, learned, None, None, last)
    known = [value for value in column[learned:-1] if value is not None]
    return Forgetting(pair, learned, column[learned], max(known), last)


def mean_forgetting(matrix: Matrix, pairs: Collection[Pair] | None = None) -> tuple[Points, Points]:
    """Return the means over pairs of first − last and of best − last, in points.

    The second is F of Chaudhry et al. (ECCV 2018). ``pairs`` and None are as in `backward_transfer`.
    """
    each = [forgetting(matrix, pair) for pair in _pairs_or_earlier(matrix, pairs)]
    return mean(one.since_first for one in each), mean(one.since_best for one in each)


@dataclass(frozen=True)
class Retention:
    """The BLEU of the parent's ``pairs`` in percent of the parent's own, at positions 1 to the last.

    The mean over the pairs; None where one was not measured.
    """

    values: tuple[Points, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def mean(self) -> Points:
        return mean(self._measured)

    @property
    def worst(self) -> Points:
        return min(self._measured, default=None)

    @property
    def _measured(self) -> list[float]:
        return [value for value in self.values if value is not None]

    def to_json(self) -> dict[str, object]:
        pairs = [str(pair) for pair in self.pairs]
        return {"pairs": pairs, "values": list(self.values), "mean": self.mean, "worst": self.worst}


def retention(matrix: Matrix) -> Retention:
    """Return 100 × BLEU of the parent's pair after each addition / its BLEU at position 0 (recipe ``original``).

    Of a parent of several pairs it is the mean over those of its pairs that the matrix has.

    If the matrix has scores through the cross-attention trained last, this is the relative form of the forgetting of
    Gheini, Ren and May (EMNLP 2021), who put the parent's embeddings back into a child. All values are None if a
    score at position 0 is missing or 0. Raises InputError if the metric is not BLEU or no column is the parent's pair.
    """
    if matrix.metric != "bleu":
        raise InputError(f"retention: the matrix has metric {matrix.metric}; expected bleu")
    originals = tuple(pair for pair in matrix.pairs if matrix.trained.get(pair) == 0)
    if not originals:
        raise InputError("retention: the matrix has no column for the parent's own pair")
    shares = zip(*(_shares(matrix.column(pair)) for pair in originals), strict=True)
    return Retention(tuple(mean(values) for values in shares), originals)


def _shares(column: Sequence[Points]) -> list[Points]:
    """The later scores of a column in percent of the first."""
    first, *later = column
    return [100 * value / first if first and value is not None else None for value in later]


def _pairs_or_earlier(matrix: Matrix, pairs: Collection[Pair] | None) -> Collection[Pair]:
    return matrix.earlier if pairs is None else pairs


def mean(values: Iterable[Points]) -> Points:
    """Return the mean; None if there are no values or one is None."""
    known: list[float] = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return fmean(known) if known else None


def difference(minuend: Points, subtrahend: Points) -> Points:
    """Return minuend − subtrahend; None if one of them is None."""
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def _negative(value: Points) -> Points:
    return None if value is None else 0.0 - value
