"""Console output: data to standard output, messages and progress bars to standard error."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from continual_mt.errors import StorageError

if TYPE_CHECKING:
    from dashboards.tables.table import Table


def say(text: str) -> None:
    """Print a message on standard error."""
    print(text, file=sys.stderr)


def print_text(text: str) -> None:
    """Print text as UTF-8, whatever the encoding of the terminal: piped output has to be the same everywhere.

    Raises StorageError if writing fails.
    """
    with _writing():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_table(table: Table) -> None:
    """Print a table, fitted to the terminal; into a file or pipe, as plain lines."""
    from rich.console import Console

    from dashboards.tables.table import for_terminal, plain

    if sys.stdout.isatty():
        with _writing():
            Console(highlight=False).print(for_terminal(table))
    else:
        print_text(plain(table))


def reader_is_gone() -> bool:
    """Return whether standard output is a pipe whose reader has ended; if so, discard further output."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        drop_output()
    return gone


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise StorageError(f"standard output: write failed: {error.strerror or error}") from error


def drop_output() -> None:
    """Redirect standard output to the null device; otherwise Python reports the unwritten buffer at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@contextmanager
def counting(title: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal; yields a function that takes the number done so far.

    ``total`` is None if it is unknown.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def downloading(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar of bytes if standard error is a terminal; yields a function of those done and all."""
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
