"""A display that interrupts jobs, as a signal does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from continual_mt.training.progress import ProgressReport
from ray_jobs.console import Display


class Interrupting(Display):
    """Raises KeyboardInterrupt, as a signal does, once more than 20 lines are translated, or after an update."""

    def __init__(self, update: int | None = None) -> None:
        super().__init__()
        self.update = update

    @contextmanager
    def counting(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        def stop(done: int) -> None:
            if self.update is None and "translating pt-de" in title and done > 20:
                raise KeyboardInterrupt

        yield stop

    @contextmanager
    def training(self, title: str, updates: int) -> Iterator[Callable[[ProgressReport], None]]:
        def stop(report: ProgressReport) -> None:
            if report.update == self.update:
                raise KeyboardInterrupt

        yield stop
