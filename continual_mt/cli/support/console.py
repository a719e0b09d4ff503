"""What goes where: data to standard output, everything that is said to standard error."""

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
    print(text, file=sys.stderr)


def print_text(text: str) -> None:
    """Text as UTF-8, whatever the terminal's encoding is called: what is piped into files has to be the same anywhere.

    Raises StorageError when it cannot be written.
    """
    with _writing():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()


def print_json(value: object) -> None:
    print_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_table(table: Table) -> None:
    """Fitted to a terminal; elsewhere plain lines."""
    from rich.console import Console

    from dashboards.tables.table import for_terminal, plain

    if sys.stdout.isatty():
        with _writing():
            Console(highlight=False).print(for_terminal(table))
    else:
        print_text(plain(table))


def reader_is_gone() -> bool:
    """Whether standard output is a pipe that nobody reads any more. It is dropped then: nothing can be said there."""
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
        raise StorageError(f"standard output cannot be written to: {error.strerror or error}") from error


def drop_output() -> None:
    """Send what is still buffered to nowhere, or Python complains about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def counting(title: str, total: int | None, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Yields what takes the number done so far; ``total`` is None where nobody knows it."""
    if not shown or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
