from __future__ import annotations

import numpy as np
import pytest

from continual_mt.evaluation.significance import RESAMPLES
from experiments.paper.goal import Resampled, mean_difference, shown


def scores(observed: float, spread: float = 0.0) -> Resampled:
    """A score, and resamples evenly around it."""
    return np.array([observed, *np.linspace(observed - spread, observed + spread, RESAMPLES)])


def test_the_difference_is_a_mean_over_pairs_and_seeds() -> None:
    first = {"de-en": [scores(30.0), scores(32.0)], "fr-cs": [scores(20.0)]}
    second = {"de-en": [scores(30.0)], "fr-cs": [scores(18.0)]}
    mean, low, high = mean_difference(first, second)
    assert mean == 1.5  # (31 + 20) / 2 - (30 + 18) / 2
    assert (low, high) == (1.0, 2.0)  # two seeds, of which both draws may be the lower, or the higher one


def test_what_both_share_cancels_out() -> None:
    """Sentences are drawn alike for both settings: only what differs between them widens the interval."""
    first, second = {"de-en": [scores(30.0, spread=5)]}, {"de-en": [scores(29.0, spread=5)]}
    assert mean_difference(first, second) == pytest.approx((1.0, 1.0, 1.0))
    alone = mean_difference(first, {"de-en": [scores(29.0)]})
    assert alone == pytest.approx((1.0, 1.0 - 0.95 * 5, 1.0 + 0.95 * 5), abs=0.02)


def test_a_difference_is_shown_with_its_interval() -> None:
    assert shown((0.5, -0.25, 1.254)) == "+0.50 (-0.25 to +1.25)"
