"""Threads of this process: how those of OpenMP wait for each other, and what happens to all of them at a fork.

PyTorch divides each matrix product among OpenMP's threads, which by default spin while they wait for the last one. On a
machine that also has other work, the spinning threads take the processor that the last one needs, and everything is up
to ten times slower. Threads that sleep instead cost about a tenth of a training's speed on an idle machine.

A forked process has only the thread that called ``fork``. Its OpenMP would wait for the other threads for ever, and
a lock that another thread held during the fork stays locked. So forks wait until no thread is within `computing`, and
PyTorch uses one thread in a forked process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The runtimes read these when PyTorch is imported: GNU's the first one, Intel's and LLVM's the first or the last.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
_SETTINGS = (*PASSIVE, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_MAXIMUM_PARKED = 8


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the environment has another setting."""
    global _too_late
    if not any(name in os.environ for name in _SETTINGS):
        os.environ.update(PASSIVE)
        _too_late = "torch" in sys.modules


def spin_briefly() -> None:
    """Do what `wait_passively` does, for a process that imported PyTorch first; call it before long computations.

    GNU's OpenMP spins only briefly once it has more threads than there are processors. Threads that do nothing count.
    """
    global _too_late
    if not _too_late:
        return
    _too_late = False
    import torch

    if (threads := torch.get_num_threads()) > 1 and sys.platform == "linux":
        for _ in range(min(_MAXIMUM_PARKED, -(-len(os.sched_getaffinity(0)) // (threads - 1)))):
            parked = threading.Event()
            threading.Thread(target=_park, args=(parked,), daemon=True, name="parked for OpenMP").start()
            parked.wait()


def _park(parked: threading.Event) -> None:
    import torch

    torch.ones(1 << 20).exp_()  # large enough for several threads, which exist until this one ends
    parked.set()
    threading.Event().wait()


@contextmanager
def computing() -> Iterator[None]:
    """Delay forks by other threads until the end of this context; for computations of seconds at most."""
    spin_briefly()
    thread = threading.get_ident()
    with _forks.changed:
        nested = thread in _forks.computing
        _forks.changed.wait_for(lambda: nested or not _forks.waiting)
        _forks.computing.add(thread)
    try:
        yield
    finally:
        if not nested:
            with _forks.changed:
                _forks.computing.discard(thread)
                _forks.changed.notify_all()


class _Forks:
    """Which threads are computing, and how many wait to fork."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.computing: set[int] = set()
        self.waiting = 0


def _before_fork() -> None:
    _forks.changed.acquire()  # until after the fork
    _forks.waiting += 1
    # A thread may fork within its own computation, as in a signal handler.
    _forks.changed.wait_for(lambda: _forks.computing <= {threading.get_ident()})


def _after_fork_in_parent() -> None:
    _forks.waiting -= 1
    _forks.changed.notify_all()
    _forks.changed.release()


def _after_fork_in_child() -> None:
    global _forks
    _forks = _Forks()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):  # it may be in the middle of its import
        torch.set_num_threads(1)
    for action in _in_child:
        action()


def after_fork(action: Callable[[], None]) -> None:
    """Run ``action`` in every process that this one forks, after PyTorch was limited to one thread there."""
    _in_child.append(action)


_too_late = False
_forks = _Forks()
_in_child: list[Callable[[], None]] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
