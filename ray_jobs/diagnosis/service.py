"""One service that jobs use, as it was found; and a limit on the time that finding it may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic

from continual_mt.credentials import hidden
from registry.records.values import JSONObject

SECONDS = 15.0


@dataclass(frozen=True)
class Service:
    """Ray, MLflow, the database or the blobs. All its text is without credentials.

    ``kind`` is what it is (``SQLite``, ``folder``), ``place`` its address, ``state`` what was found, as text.
    ``usable`` is whether a job could use it; ``problem`` is why not although it is configured, with the fix, or None.
    ``facts`` are further values for programs.
    """

    name: str
    kind: str
    place: str | None
    state: str
    usable: bool = True
    problem: str | None = None
    facts: JSONObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("place", "state", "problem"):
            text = getattr(self, name)
            object.__setattr__(self, name, None if text is None else hidden(text))

    @classmethod
    def unusable(cls, name: str, kind: str, place: str | None, problem: str) -> Service:
        return cls(name, kind, place, "cannot be used", False, f"{name}: {problem}")

    def to_json(self) -> JSONObject:
        known: JSONObject = {"kind": self.kind, "place": self.place, "state": self.state}
        return {**known, "usable": self.usable, "problem": self.problem, **self.facts}


def within(seconds: float, find: Callable[[], Service], late: Service) -> Callable[[], Service]:
    """Start ``find`` in a thread; returns a function that waits for its result, ``late`` if that takes ``seconds``.

    A thread that is late continues, and ends with the process. An exception of ``find`` is raised by the function.
    """
    results: SimpleQueue[Service | BaseException] = SimpleQueue()
    end = monotonic() + seconds

    def work() -> None:
        try:
            results.put(find())
        except BaseException as error:  # raised in the thread that asks
            results.put(error)

    threading.Thread(target=work, daemon=True, name=f"examine {late.name}").start()

    def result() -> Service:
        try:
            found = results.get(timeout=max(0.0, end - monotonic()))
        except Empty:
            return late
        if isinstance(found, BaseException):
            raise found
        return found

    return result


def late(name: str, kind: str, place: str | None, seconds: float) -> Service:
    """A service that did not answer in time."""
    problem = f"no answer within {seconds:g} seconds. Fix: check the address, and that it can be reached from here"
    return Service.unusable(name, kind, place, problem)
