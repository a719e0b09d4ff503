"""The learning rates of a scope and start: one group of parameters after the other, of four values each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from continual_mt.languages import NewSide
from experiments.paper.run import Run
from experiments.paper.settings import SEARCHED, SETTINGS, Rates, Setting, first_rates, grids
from experiments.run import Row, best_value


class Trains(Protocol):
    def trained(self, setting: Setting, rates: Rates) -> Row:
        """The row of a training."""


def search(run: Run, side: NewSide) -> None:
    """Search the rates of all settings for a new source or target, on the whole text, by the development score."""
    run.parent("paper-full")
    for scope, start in SETTINGS:
        best_rates(run, Setting("paper-full", SEARCHED[side], "full", scope, start))


def best_rates(run: Trains, setting: Setting) -> Rates:
    """The rates with the best development score, of which those not known yet are trained."""
    rates = first_rates(setting.scope, setting.side)
    for position, (_, values) in enumerate(grids(setting.scope, setting.side)):
        rates = _best_of_one(run, setting, rates, position, values)
    return rates


def _best_of_one(run: Trains, setting: Setting, rates: Rates, position: int, values: Sequence[float]) -> Rates:
    """These rates with the best value at one position."""
    groups, start = rates[position]

    def with_value(value: float) -> Rates:
        return (*rates[:position], (groups, value), *rates[position + 1 :])

    return with_value(climb(values, start, lambda value: run.trained(setting, with_value(value))))


def climb(values: Sequence[float], start: float, row: Callable[[float], Row]) -> float:
    """The best value on the way up from a start, or else on the way down.

    A way ends at the first value that is no better: those past it are not trained.
    """
    rows = {start: row(start)}
    for way in (values[values.index(start) + 1 :], values[: values.index(start)][::-1]):
        for value in way:
            rows[value] = row(value)
            if best_value(rows) != value:
                break
        if best_value(rows) != start:
            break
    return best_value(rows)
