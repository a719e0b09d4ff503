"""What a sequence of additions forgets, keeps and gains: score × position, and the measures that are cited.

Position 0 is the parent before any addition, position k stands behind the k-th. A measure over several pairs is over
just these pairs: where a score that it needs was not measured it is None, and never a mean over fewer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from continual_mt.errors import InputError, UnknownNameError
from continual_mt.evaluation.metrics import MetricName
from continual_mt.languages import Pair

Points = float | None
"""A score of 0 to 100 or a difference of two; None where it was not measured or is not defined."""


def metric_for(pairs: Iterable[Pair]) -> MetricName:
    """The metric that a set of pairs is averaged in: BLEU where all have one target language, else chrF.

    BLEU counts words, so that its points mean another thing in each target language; the characters that chrF counts
    (Popović, 2015) depend less on how a language makes its words. Raises InputError for no pairs.
    """
    targets = {pair.target for pair in pairs}
    if not targets:
        raise InputError("there is no pair, so there is nothing to average")
    return "bleu" if len(targets) == 1 else "chrf"


@dataclass(frozen=True)
class PairSet:
    """Pairs under a name, which stay the same at every position. Raises InputError for none, or one named twice."""

    name: str
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.pairs or len(set(self.pairs)) != len(self.pairs):
            raise InputError(f"the set {self.name!r} has no pair, or one twice: {', '.join(map(str, self.pairs))}")

    @property
    def metric(self) -> MetricName:
        return metric_for(self.pairs)


@dataclass(frozen=True)
class Matrix:
    """One metric: a row a position (row 0 before the first addition), a column a pair.

    None stands where a pair could not be run or was not measured. ``trained`` has the position of each pair that was
    trained, 0 for the parent's own; zero-shot pairs are not in it. Raises InputError for rows that do not fit.
    """

    metric: MetricName
    pairs: tuple[Pair, ...]
    rows: tuple[tuple[Points, ...], ...]
    trained: Mapping[Pair, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows:
            raise InputError("a matrix of scores needs a row for position 0, before the first addition")
        if len(set(self.pairs)) != len(self.pairs):
            raise InputError(f"a matrix of scores has one column a pair, not {', '.join(map(str, self.pairs))}")
        for position, row in enumerate(self.rows):
            if len(row) != len(self.pairs):
                raise InputError(f"position {position} has {len(row)} scores for {len(self.pairs)} pairs")

    @property
    def last(self) -> int:
        """The last position."""
        return len(self.rows) - 1

    @property
    def earlier(self) -> tuple[Pair, ...]:
        """The pairs that were trained before the last position, and so can have been forgotten there."""
        return tuple(pair for pair in self.pairs if self.trained.get(pair, self.last) < self.last)

    def column(self, pair: Pair) -> tuple[Points, ...]:
        """A pair's score at every position. Raises UnknownNameError for a pair that has no column."""
        if pair not in self.pairs:
            listed = ", ".join(map(str, self.pairs)) or "none"
            raise UnknownNameError(f"no score of {pair} is in this matrix; there is: {listed}")
        place = self.pairs.index(pair)
        return tuple(row[place] for row in self.rows)

    def learned(self, pair: Pair) -> int | None:
        """Where a pair was trained; of a zero-shot pair where it was measured first, None if it never was."""
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
    """The mean score of a set of pairs at each position; None where one of them has none.

    At the last position, over all pairs that were trained, it is the average accuracy (ACC) of Lopez-Paz and Ranzato,
    *Gradient Episodic Memory for Continual Learning*, NeurIPS 2017, with a score in the place of accuracy.
    """
    columns = [matrix.column(pair) for pair in pairs.pairs]
    return tuple(mean(values) for values in zip(*columns, strict=True))


def backward_transfer(matrix: Matrix, pairs: Collection[Pair] | None = None) -> Points:
    """The mean, over pairs trained before the last position, of last score − score where the pair was trained.

    BWT of Lopez-Paz and Ranzato (NeurIPS 2017): negative where later additions made earlier pairs worse. ``pairs``
    takes others than `Matrix.earlier`. None when there is no such pair or a score is missing.
    """
    return _negative(mean(forgetting(matrix, pair).since_first for pair in _pairs_or_earlier(matrix, pairs)))


@dataclass(frozen=True)
class Forgetting:
    """One pair: its score where it was learned, the best one before the last position, and the last one."""

    pair: Pair
    learned: int | None
    first: Points
    best: Points
    last: Points

    @property
    def since_first(self) -> Points:
        """First − last: how much worse than when it was learned; negative where it got better."""
        return difference(self.first, self.last)

    @property
    def since_best(self) -> Points:
        """Best − last (Chaudhry et al., 2018); never less than first − last."""
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
    """How much of a pair is forgotten at the last position, in both forms that are in use.

    First − last is the term of backward transfer with its sign turned. Best − last is the forgetting of Chaudhry,
    Dokania, Ajanthan and Torr, *Riemannian Walk for Incremental Learning*, ECCV 2018: the maximum over the positions
    before the last, of those that were measured. A pair that was learned at the last position, or was not measured
    where it was trained, has neither.
    """
    column, learned = matrix.column(pair), matrix.learned(pair)
    last = column[-1]
    if learned is None or learned >= matrix.last or column[learned] is None:
        return Forgetting(pair, learned, None, None, last)
    known = [value for value in column[learned:-1] if value is not None]
    return Forgetting(pair, learned, column[learned], max(known), last)


def mean_forgetting(matrix: Matrix, pairs: Collection[Pair] | None = None) -> tuple[Points, Points]:
    """First − last and best − last in the mean over the pairs that were trained before the last position.

    The second is F of Chaudhry et al. (ECCV 2018). None as in `backward_transfer`.
    """
    each = [forgetting(matrix, pair) for pair in _pairs_or_earlier(matrix, pairs)]
    return mean(one.since_first for one in each), mean(one.since_best for one in each)


@dataclass(frozen=True)
class Retention:
    """Percent of the original pair's BLEU, at positions 1 to the last; mean and worst of those that were measured."""

    values: tuple[Points, ...]

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
        return {"values": list(self.values), "mean": self.mean, "worst": self.worst}


def retention(matrix: Matrix) -> Retention:
    """100 × BLEU of the original pair behind each addition / its BLEU at position 0, where the recipe is ``original``.

    In a matrix of scores through the cross-attention that was trained last this is the relative form of the forgetting
    of Gheini, Ren and May (EMNLP 2021), who put the parent's embeddings back into a child. All None where position 0
    has no score or 0. Raises InputError for another metric than BLEU and where no column is the parent's own pair.
    """
    if matrix.metric != "bleu":
        raise InputError(f"retention is a share of BLEU, and this is a matrix of {matrix.metric}")
    original = next((pair for pair in matrix.pairs if matrix.trained.get(pair) == 0), None)
    if original is None:
        raise InputError("retention is of the parent's own pair, which has no column in this matrix")
    original_score, *after_additions = matrix.column(original)
    return Retention(
        tuple(
            100 * value / original_score if original_score and value is not None else None for value in after_additions
        )
    )


def _pairs_or_earlier(matrix: Matrix, pairs: Collection[Pair] | None) -> Collection[Pair]:
    return matrix.earlier if pairs is None else pairs


def mean(values: Iterable[Points]) -> Points:
    """None for no values, or where one is missing."""
    known: list[float] = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return fmean(known) if known else None


def difference(minuend: Points, subtrahend: Points) -> Points:
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def _negative(value: Points) -> Points:
    return None if value is None else 0.0 - value
