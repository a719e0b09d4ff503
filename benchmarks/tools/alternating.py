"""Alternating measurements, which expose all contestants to the same changes in the speed of a shared machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Answer = TypeVar("Answer")


def timed(run: Callable[[], Answer]) -> tuple[float, Answer]:
    """Return the seconds that ``run`` takes, and its result."""
    started = time.perf_counter()
    answer = run()
    return time.perf_counter() - started, answer


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run all contestants in each round; returns the seconds of each contestant per round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(timed(run)[0])
    return seconds


def speedup(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of their time / our time."""
    return statistics.median(
        their_seconds / our_seconds for our_seconds, their_seconds in zip(ours, theirs, strict=True)
    )
