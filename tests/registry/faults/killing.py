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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, Protocol

from sqlalchemy import Engine, Pool, event, select

from registry import Registry
from registry.database import schema
from registry.maintenance.verify import verify
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
_CONFIRMED = "confirmed: "


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
    confirmed: str | None
    problem: str | None = None


class Opened:
    """Registries that are used again when other files have taken the place of theirs.

    Statements that are compiled take longer than all that they do, so they are kept. Nothing else is: neither
    connections nor what was loaded.
    """

    def __init__(self) -> None:
        self._registries: dict[Path, Registry] = {}

    def __call__(self, home: Path, how: Callable[[Path], Registry] = Registry.open) -> Registry:
        """The registry of a home, after it was opened as the next process would open it."""
        how(home).close()
        return self.unchecked(home, how)

    def unchecked(self, home: Path, how: Callable[[Path], Registry] = Registry.open) -> Registry:
        """The same without connections; the first time it is opened."""
        if home not in self._registries:
            self._registries[home] = how(home)
        self._registries[home].close()
        return self._registries[home]

    def close(self) -> None:
        for registry in self._registries.values():
            registry.close()


class Work(Protocol):
    """Something that is done to a registry and may be killed anywhere."""

    def prepare(self, registry: Registry, home: Path) -> None:
        """Prepare the registry; called once."""

    def act(self, registry: Registry, home: Path) -> str:
        """Do it and say what was done."""

    def check(self, opened: Opened, home: Path, confirmed: str | None) -> None:
        """Raise AssertionError unless the work was done completely or, if unconfirmed, not at all, and repeatable."""


Artifact = tuple[str, ...]
_VERIFIED: set[Artifact] = set()


def checked(registry: Registry) -> set[str]:
    """Return the names of all modules, after checking every byte of them.

    A fingerprint follows from the pieces alone. It is computed from the weights once for an artifact of these pieces;
    after that, hashing each piece, which is done every time, proves the same.
    """
    found = _artifacts(registry)
    assert verify(registry, set_aside=False, fingerprints=not found <= _VERIFIED).problems == ()
    _VERIFIED.update(found)
    return {module.full_name for module in registry.modules()}


def _artifacts(registry: Registry) -> set[Artifact]:
    """What is registered, deleted or not: all that a fingerprint is computed from or compared with."""
    with registry.database.read() as session:
        parents = {
            (row.name, row.fingerprint, *sorted(f"{side.end} {side.tag}" for side in row.sides), *_pieces(row))
            for row in session.scalars(select(schema.Parent))
        }
        return parents | {
            (row.parent.fingerprint, row.digest, row.source, row.target, *_pieces(row))
            for row in session.scalars(select(schema.Module))
        }


def _pieces(row: schema.Artifact) -> list[str]:
    return sorted(f"{piece.name} {piece.digest}" for piece in row.pieces)


def killed_everywhere(work: Work, backend: Backend, source: Path, home: Path) -> Iterator[Run]:
    """Do the work on a copy of ``source`` once for every event, until it ends by itself before it is killed."""
    template = home.parent / f"{home.parent.name}-template" / "home"
    with backend.at(template):
        backend.copy(source, template)
        with Registry.open(template) as registry:
            work.prepare(registry, template)
    opened = Opened()
    for number in count(1):
        opened.close()
        backend.drop(home)
        shutil.rmtree(home, ignore_errors=True)
        backend.copy(template, home)
        run = _killed(work, opened, home, number)
        if run.problem is None:
            try:
                work.check(opened, home, run.confirmed)
            except Exception as error:
                run = replace(run, problem="".join(traceback.format_exception(error)))
        yield run
        if len(run.steps) < number or run.problem:
            break
    opened.close()
    backend.drop(template)


def _killed(work: Work, opened: Opened, home: Path, number: int) -> Run:
    registry = opened.unchecked(home)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(work, registry, home, number, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    confirmed = next((line.removeprefix(_CONFIRMED) for line in lines if line.startswith(_CONFIRMED)), None)
    steps = [line for line in lines if not line.startswith(_CONFIRMED)]
    if len(steps) == number:
        ended_well = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    else:
        ended_well = status == 0 and confirmed is not None
    return Run(steps, confirmed, None if ended_well else f"it ended with the status {status}")


def _work(work: Work, registry: Registry, home: Path, number: int, pipe: int) -> NoReturn:
    try:
        Counter(home, number, pipe)
        os.write(pipe, f"{_CONFIRMED}{work.act(registry, home)}\n".encode())
        os._exit(0)
    except BaseException:
        os.write(pipe, traceback.format_exc().encode())
    os._exit(1)
