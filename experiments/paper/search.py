"""The learning rates of a scope and start: one group of parameters after the other, four values each."""

from __future__ import annotations

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
    for position, (groups, values) in enumerate(grids(setting.scope, setting.side)):
        rows: dict[float, Row] = {}
        for value in sorted(values, key=lambda value: abs(values.index(value) - values.index(rates[position][1]))):
            tried = (*rates[:position], (groups, value), *rates[position + 1 :])
            rows[value] = run.trained(setting, tried)
        rates = (*rates[:position], (groups, best_value(rows)), *rates[position + 1 :])
    return rates
