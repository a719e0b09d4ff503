"""Forked processes that are killed, by SIGKILL, at the n-th file or database event of what they do.

Python tells of files (``sys.addaudithook``), SQLAlchemy of what it is about to do: connect, run a statement, commit,
and give a connection back. What only reads does not count: killed there, a process leaves what it leaves at the next
change.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, Protocol

from sqlalchemy import Engine, Pool, event

from registry import Registry
from tests.registry.backends import Backend

_CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.utime",
)
_TEMPORARY = re.compile(r"(?<=writing-)\w+|(?<=/..)/[0-9a-f]{64}")
_TOLD = "told: "


class Counter:
    """Writes every event to a pipe, and kills this process at one of them."""

    def __init__(self, folder: Path, number: int, pipe: int) -> None:
        self._folder, self._number, self._pipe = str(folder), number, pipe
        self._count = 0
        event.listen(Engine, "do_connect", lambda *_: self._step("connect to the database"))
        event.listen(Engine, "before_cursor_execute", lambda *arguments: self._statement(arguments[2]))
        event.listen(Engine, "commit", lambda *_: self._step("COMMIT"))
        event.listen(Pool, "reset", lambda *_: self._step("give the connection back"))
        sys.addaudithook(self._hear)

    def _step(self, name: str) -> None:
        self._count += 1
        os.write(self._pipe, f"{name}\n".encode())
        if self._count == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(self, text: str) -> None:
        words = text.split()
        if words[0] not in ("SELECT", "SET", "PRAGMA") or "pg_advisory_xact_lock" in text:
            self._step(" ".join(words[:3]))

    def _hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "os.chmod" and isinstance(arguments[0], int):
            self._step("os.fchmod")
        elif (name == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)) or name in _CHANGES:
            place = arguments[0]
            if isinstance(place, str | bytes | os.PathLike) and os.fsdecode(place).startswith(self._folder):
                self._step(f"{name} {_TEMPORARY.sub('…', os.fsdecode(place).removeprefix(self._folder))}")


@dataclass(frozen=True)
class Run:
    """What came of one process: the events that it came to, its problem, and what it gave back if it came so far."""

    steps: list[str]
    told: str | None
    problem: str | None = None


class Work(Protocol):
    """Something that is done to a registry and may be killed anywhere."""

    def prepare(self, registry: Registry, home: Path) -> None:
        """What is there before; done once."""

    def act(self, registry: Registry, home: Path) -> str:
        """Do it and say what was done."""

    def check(self, home: Path, told: str | None) -> None:
        """Raise AssertionError unless all of it is there or, if it was not told, nothing, and it can be done again."""


def killed_everywhere(work: Work, backend: Backend, source: Path, home: Path) -> Iterator[Run]:
    """Do the work on a copy of ``source`` once for every event, until it ends by itself before it is killed."""
    template = home.parent / f"{home.parent.name}-template" / "home"
    with backend.at(template):
        backend.copy(source, template)
        with Registry.open(template) as registry:
            work.prepare(registry, template)
    for number in count(1):
        backend.drop(home)
        shutil.rmtree(home, ignore_errors=True)
        backend.copy(template, home)
        run = _killed(work, home, number)
        if run.problem is None:
            try:
                work.check(home, run.told)
            except Exception as error:
                run = replace(run, problem="".join(traceback.format_exception(error)))
        yield run
        if len(run.steps) < number or run.problem:
            break
    backend.drop(template)


def _killed(work: Work, home: Path, number: int) -> Run:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(work, home, number, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    told = next((line.removeprefix(_TOLD) for line in lines if line.startswith(_TOLD)), None)
    steps = [line for line in lines if not line.startswith(_TOLD)]
    if len(steps) == number:
        ended_well = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    else:
        ended_well = status == 0 and told is not None
    return Run(steps, told, None if ended_well else f"it ended with the status {status}")


def _work(work: Work, home: Path, number: int, pipe: int) -> NoReturn:
    try:
        with Registry.open(home) as registry:
            Counter(home, number, pipe)
            os.write(pipe, f"{_TOLD}{work.act(registry, home)}\n".encode())
        os._exit(0)
    except BaseException:
        os.write(pipe, traceback.format_exc().encode())
    os._exit(1)
