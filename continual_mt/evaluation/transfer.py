"""Transfer and coverage: what additions gain from their parent and from earlier additions, and which pairs can run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages
from continual_mt.errors import IncompatibleError
from continual_mt.evaluation.forgetting import Matrix, Points, difference, mean
from continual_mt.evaluation.metric_names import MetricName
from continual_mt.languages import Pair, SideName


@dataclass(frozen=True)
class Transfer:
    """The gain of each pair over a reference, in points of one metric; the mean is None if there are no pairs."""

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
    """Return the gain from the parent: each addition's score − the score of scope ``scratch`` on the same test set.

    This is the comparison of Table 2 of Gheini, Ren and May (EMNLP 2021). Wołczyk et al., *Continual World*, NeurIPS
    2021, use a model trained alone as the reference, too. It is not FWT of Lopez-Paz and Ranzato (NeurIPS 2017), which
    scores a task before it is trained. Pairs without a scratch score are left out.
    """
    return Transfer(metric, {pair: value - scratch[pair] for pair, value in scores.items() if pair in scratch})


def order_transfer(later: Matrix, first: Matrix, pair: Pair) -> Points:
    """Return the gain from earlier additions: a pair's score trained k-th (k > 1) − its score trained first, in points.

    Each score is from the position where the pair was trained. The two sequences are in the mode ``shared``, in which
    an addition starts from the parameters that earlier ones trained. None if a score is missing. Raises
    IncompatibleError if the metrics differ, or the pair is not later in the one sequence and first in the other.
    """
    if later.metric != first.metric:
        raise IncompatibleError(
            f"order transfer of {pair}: the matrices have metrics {later.metric} and {first.metric}; expected the same"
        )
    later_position, first_position = later.trained.get(pair, 0), first.trained.get(pair, 0)
    if later_position < 2 or first_position != 1:
        raise IncompatibleError(
            f"order transfer of {pair}: it was trained {_describe_position(later_position)} and "
            f"{_describe_position(first_position)}; expected position 2 or later in one sequence and 1 in the other"
        )
    if later_position > later.last or first_position > first.last:
        return None
    return difference(later.column(pair)[later_position], first.column(pair)[first_position])


@dataclass(frozen=True)
class Coverage:
    """The number of pairs that can be run, without the original one: trained (``supervised``) and ``zero_shot``."""

    supervised: int
    zero_shot: int

    def to_json(self) -> dict[str, object]:
        return {"supervised": self.supervised, "zero_shot": self.zero_shot}


def coverage(
    languages: ParentLanguages, additions: Sequence[Pair], from_scratch: Collection[Pair] = ()
) -> tuple[Coverage, ...]:
    """Count the pairs that can be run at each position, from 0 to the last addition.

    Each new source language can be translated into each new target language and into each of the parent's, and so on.
    ``from_scratch`` are additions of scope ``scratch``, which cannot be combined with others. Raises IncompatibleError
    for an addition that does not have exactly one new language.
    """
    found = [Coverage(0, 0)]
    new: dict[SideName, set[str]] = {end: set() for end in ENDS}
    trained: set[Pair] = set()
    for count, pair in enumerate(additions, start=1):
        side = languages.new_side(pair)
        if pair not in from_scratch:
            new[side].add(pair.language(side))
        trained.add(pair)
        every = {end: new[end] | set(languages.tags(end)) for end in ENDS}
        possible = {(s, t) for s in new["source"] for t in every["target"] if s != t}
        possible |= {(s, t) for s in every["source"] for t in new["target"] if s != t}
        found.append(Coverage(count, len(possible - {(pair.source, pair.target) for pair in trained})))
    return tuple(found)


def _describe_position(position: int) -> str:
    return f"at position {position}" if position else "at no position"
