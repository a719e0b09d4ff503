"""What additions gain: from their parent, from those that came before them, and in pairs that can be run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from continual_mt.errors import IncompatibleError
from continual_mt.evaluation.forgetting import Matrix, Points, difference, mean
from continual_mt.evaluation.metrics import MetricName
from continual_mt.languages import Pair


@dataclass(frozen=True)
class Transfer:
    """What a pair gains over a reference, pair by pair, in points of one metric; the mean is None for no pairs."""

    metric: MetricName
    values: Mapping[Pair, float]

    @property
    def mean(self) -> Points:
        return mean(self.values.values())

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "values": {str(pair): value for pair, value in self.values.items()},
            "mean": self.mean,
        }


def forward_transfer(metric: MetricName, scores: Mapping[Pair, float], scratch: Mapping[Pair, float]) -> Transfer:
    """What the parent is worth to each pair: an addition's score − that of the scope ``scratch`` on the same test.

    The comparison of Table 2 of Gheini, Ren and May (EMNLP 2021); a reference that is trained alone is also that of
    Wołczyk et al., *Continual World*, NeurIPS 2021. It is not the FWT of Lopez-Paz and Ranzato (NeurIPS 2017), which
    scores a task before it is trained. Pairs without a scratch score are left out; those that are in are named.
    """
    return Transfer(metric, {pair: value - scratch[pair] for pair, value in scores.items() if pair in scratch})


def order_transfer(later: Matrix, first: Matrix, pair: Pair) -> Points:
    """What coming later is worth to a pair: its score where it was trained k-th − where it was trained first.

    Both are scores where the pair was trained, from two sequences in the mode ``shared``, in which an addition starts
    from what the ones before it left. None when one of them was not measured. Raises IncompatibleError when the
    metrics differ, or the pair did not come later in the one and first in the other.
    """
    if later.metric != first.metric:
        raise IncompatibleError(f"{later.metric} and {first.metric} cannot be subtracted from each other")
    later_position, first_position = later.trained.get(pair, 0), first.trained.get(pair, 0)
    if later_position < 2 or first_position != 1:
        raise IncompatibleError(
            f"order transfer of {pair} needs a sequence in which it came later and one in which it came first; "
            f"here it came {_describe_position(later_position)} and {_describe_position(first_position)}"
        )
    if later_position > later.last or first_position > first.last:
        return None
    return difference(later.column(pair)[later_position], first.column(pair)[first_position])


@dataclass(frozen=True)
class Coverage:
    """How many pairs can be run besides the original one: those that were trained, and those that nobody trained."""

    supervised: int
    zero_shot: int

    def to_json(self) -> dict[str, object]:
        return {"supervised": self.supervised, "zero_shot": self.zero_shot}


def coverage(original: Pair, additions: Sequence[Pair], from_scratch: Collection[Pair] = ()) -> tuple[Coverage, ...]:
    """The pairs that can be run at each position, from 0 to the last addition.

    Each new source language goes into each new target language. ``apart`` are the additions that were trained from
    scratch, which fit no other's pieces. Raises IncompatibleError for an addition that shares no side with the parent.
    """
    found = [Coverage(0, 0)]
    sources: set[str] = set()
    targets: set[str] = set()
    for count, pair in enumerate(additions, start=1):
        if (pair.source == original.source) == (pair.target == original.target):
            raise IncompatibleError(f"{pair} is no addition to {original}: one of the two languages has to be its own")
        if pair not in from_scratch:
            new, language = (targets, pair.target) if pair.source == original.source else (sources, pair.source)
            new.add(language)
        zero_shot = sum(source != target for source in sources for target in targets)
        found.append(Coverage(count, zero_shot))
    return tuple(found)


def _describe_position(position: int) -> str:
    return f"at position {position}" if position else "at none"
