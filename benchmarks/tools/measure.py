"""Measurements of a contestant during training."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

WARM_UP = 8
"""The number of first updates that are not timed, in which memory is allocated and kernels are compiled."""
PROFILED = 4

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mkldnn", "mkldnn::", "onednn::")


@dataclass
class Meter:
    """Counts tokens: of both sides, real and padded, for the padding; of the target, with times, for the speed."""

    seconds: list[float] = field(default_factory=list)
    target_tokens: list[int] = field(default_factory=list)
    real: int = 0
    padded: int = 0

    def count(self, real: int, padded: int) -> None:
        self.real += real
        self.padded += padded

    def update(self, seconds: float, target_tokens: int) -> None:
        self.seconds.append(seconds)
        self.target_tokens.append(target_tokens)

    def speed(self) -> float:
        """Return real target tokens per second, without the warm-up updates."""
        return sum(self.target_tokens[WARM_UP:]) / sum(self.seconds[WARM_UP:])

    def padding(self) -> float:
        """Return the share (0 to 1) of padding among all tokens."""
        return 1 - self.real / self.padded


@dataclass(frozen=True)
class Measured:
    """The result of one contestant: shares are 0 to 1, memory is in megabytes; None if not measured."""

    target_tokens_per_second: float
    padding: float | None
    share_in_products: float | None
    peak_memory_mb: float
    tokens_an_update: float
    development_bleu: float | None = None
    seconds_to_first_update: float | None = None
    own_memory_mb: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process, in megabytes."""
    # On Linux, ru_maxrss is at least that of the process that started this one.
    if (peak := _status_mb("VmHWM")) is not None:
        return peak
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / 1e6 if sys.platform == "darwin" else found / 1e3


def own_memory_mb() -> float | None:
    """Return this process's current memory without mapped files, in megabytes; None on systems without /proc."""
    return _status_mb("RssAnon")


def _status_mb(field: str) -> float | None:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{field}:")), None)


def share_in_products(update: Callable[[], object]) -> float:
    """Return the share (0 to 1) of an update's time that the calling thread spends in matrix products."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        for _ in range(PROFILED):
            update()
        seconds = time.perf_counter() - started
    products = sum(event.self_cpu_time_total for event in profiler.key_averages() if event.key.startswith(PRODUCTS))
    return float(products) / 1e6 / seconds
