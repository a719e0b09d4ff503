"""The progress of a driver: bars on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from continual_mt.training.progress import ProgressReport

LINE_SECONDS = 30.0


class Display:
    """Writes to standard error; standard output is for results."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._progress: Progress | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def training(self, title: str, updates: int) -> Iterator[Callable[[ProgressReport], None]]:
        """Show a bar over updates, and each development score as a line. Yields a function that takes reports."""
        started = time.monotonic()
        spoken = started
        with self._bar(title, updates) as advance:

            def show(report: ProgressReport) -> None:
                nonlocal spoken
                advance(
                    report.update, f"loss {report.loss:.2f} · {report.tokens_per_second:,.0f} target tokens/s a worker"
                )
                if report.development is not None:
                    best = ", the best so far" if report.best else ""
                    seconds = time.monotonic() - started
                    self.say(
                        f"{title}: update {report.update} of {updates} after {seconds:.0f} s: "
                        f"loss {report.loss:.2f}, development BLEU {report.development:.1f}{best}"
                    )
                    spoken = time.monotonic()
                elif not self._console.is_terminal and time.monotonic() - spoken > LINE_SECONDS:
                    self.say(f"{title}: update {report.update} of {updates}: loss {report.loss:.2f}")
                    spoken = time.monotonic()

            yield show

    @contextmanager
    def counting(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar over items, such as sentences. Yields a function that takes how many are done."""
        with self._bar(title, total) as advance:
            yield lambda done: advance(done, "")

    @contextmanager
    def _bar(self, title: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """A bar beside existing ones, in any order of their ends."""
        progress = self._progress = self._progress or self._started()
        task = progress.add_task(title, total=total, note="")
        try:
            yield lambda done, note: progress.update(task, completed=done, note=note)
        finally:
            if len(progress.tasks) > 1:
                progress.remove_task(task)
            else:
                progress.stop()
                self._progress = None

    def _started(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        disable = not self._console.is_terminal
        progress = Progress(*columns, console=self._console, transient=True, disable=disable)
        progress.start()
        return progress
