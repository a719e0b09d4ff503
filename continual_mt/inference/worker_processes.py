"""Forked processes of one thread each that share the batches of a search.

A search consists of many small matrix products, which threads hardly speed up: at each product all threads wait for the
slowest one, which may share its processor with other work. Processes do not wait for each other.

``concurrent.futures.ProcessPoolExecutor`` was tried and has these disadvantages: when one process is killed, it ends
the others in a way that hides the exit code of the killed one, so "out of memory" cannot be distinguished from
"terminated"; when a process cannot be started, it leaves the others running and hangs; before Python 3.14 it cannot end
processes that are in the middle of a batch; and when the first process is killed, the others keep running.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import torch

from continual_mt.errors import ProcessError

_FEWER = "Fix: use fewer processes"


def possible() -> bool:
    """Whether this process can fork others, which share its memory, weights included.

    Only on Linux, and not in a member of a ``multiprocessing.Pool``, which may not have children.
    """
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def shared_out(
    work: Callable[[list[int]], Any], batches: Sequence[list[int]], processes: int
) -> Generator[Any, None, None]:
    """Yield the result of ``work`` for each batch, as JSON returns it, in the order in which they finish.

    All processes are ended when the generator is closed. Raises ProcessError if a process cannot start, or ends before
    its work is done; its own error is on standard error.
    """
    context = multiprocessing.get_context("fork")
    members: dict[Connection, ForkProcess] = {}
    try:
        for number in range(processes):
            try:
                ours, theirs = context.Pipe(duplex=False)
                given = work, batches[number::processes], theirs, [*members, ours]
                member = context.Process(target=_do, args=given, daemon=True)
                member.start()
            except OSError as error:
                raise ProcessError(f"process {number + 1} of {processes}: cannot start ({error}). {_FEWER}") from error
            theirs.close()
            members[ours] = member
        while members:
            for connection in wait(list(members)):
                assert isinstance(connection, Connection)
                try:
                    yield json.loads(connection.recv_bytes())
                except (EOFError, OSError):
                    _finish(members.pop(connection))
    finally:
        for member in members.values():
            member.kill()
            member.join()


def _do(
    work: Callable[[list[int]], Any], batches: Sequence[list[int]], out: Connection, inherited: Sequence[Connection]
) -> None:
    # The first process reads from these. If they stayed open here, writing would still succeed after it was killed.
    for connection in inherited:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the handler of the first process
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):  # the first process has ended
        for batch in batches:
            out.send_bytes(json.dumps(work(batch)).encode())


def _finish(member: ForkProcess) -> None:
    member.join()
    if member.exitcode:
        killed = " (killed, possibly for lack of memory)" if member.exitcode == -signal.SIGKILL else ""
        raise ProcessError(
            f"a worker process: ended with exit code {member.exitcode}{killed} before its work was done. {_FEWER}, or "
            "smaller batches"
        )
