from __future__ import annotations

from typing import Any

import pytest

from experiments.paper.search import best_rates, climb
from experiments.paper.settings import Rates, Setting
from experiments.run import Row


class Trainings:
    """The development score is highest at one rate of each group; nothing is trained."""

    def __init__(self, best: dict[str, float], at_limit: float) -> None:
        self.best, self.at_limit = best, at_limit
        self.done: list[dict[str, float]] = []

    def trained(self, setting: Setting, rates: Rates) -> Row:
        given: dict[str, Any] = setting.labels(rates)["rates"]
        if given not in self.done:
            self.done.append(given)
        score = 30.0 - sum(rate != self.best[group] for group, rate in given.items())
        return {"dev": score, "at_limit": given["source"] == self.at_limit}


def test_one_group_is_searched_after_the_other() -> None:
    trainings = Trainings({"source": 1e-3, "encoder": 1e-3}, at_limit=1e-2)
    found = best_rates(trainings, Setting("paper-full", "de-en", "full", "half", "lexical"))
    assert found == ((("source",), 1e-3), (("encoder",), 1e-3))
    assert [tuple(given.values()) for given in trainings.done] == [
        (3e-3, 3e-4),
        (1e-2, 3e-4),
        (1e-3, 3e-4),
        (3e-4, 3e-4),
        (1e-3, 1e-3),
        (1e-3, 3e-3),
    ]


def test_a_training_that_its_limit_ended_counts_for_nothing() -> None:
    trainings = Trainings({"source": 1e-2, "encoder": 3e-4}, at_limit=1e-2)
    found = best_rates(trainings, Setting("paper-full", "de-en", "full", "half", "lexical"))
    assert found[0][1] != 1e-2


@pytest.mark.parametrize(
    ("best", "tried"),
    [(4, [3, 4]), (3, [3, 4, 2]), (2, [3, 4, 2, 1]), (1, [3, 4, 2, 1])],
)
def test_values_past_one_that_is_no_better_are_not_trained(best: int, tried: list[float]) -> None:
    trained: list[float] = []

    def row(value: float) -> Row:
        trained.append(value)
        return {"dev": -abs(value - best), "at_limit": False}

    assert climb([1, 2, 3, 4], 3, row) == best
    assert trained == tried
