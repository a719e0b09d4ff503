"""Contestants that take turns: a machine that others use, too, changes its speed, and so all meet the same moments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Answer = TypeVar("Answer")


def timed(run: Callable[[], Answer]) -> tuple[float, Answer]:
    started = time.perf_counter()
    answer = run()
    return time.perf_counter() - started, answer


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(timed(run)[0])
    return seconds


def speedup(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median, over rounds, of how many times as fast ours was as theirs in the same round."""
    return statistics.median(
        their_seconds / our_seconds for our_seconds, their_seconds in zip(ours, theirs, strict=True)
    )
