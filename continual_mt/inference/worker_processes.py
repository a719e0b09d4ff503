"""Processes of one thread each that share work: searching is many small products, which threads hardly speed up.

At each product threads wait for the slowest of them, which may share its processor with other work. Processes wait for
nobody.
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

_FEWER = "ask for fewer processes"


def possible() -> bool:
    """Whether a process can be had that begins with all that this one holds, weights included, in milliseconds.

    A member of a ``multiprocessing.Pool`` may have none.
    """
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def shared_out(
    work: Callable[[list[int]], Any], batches: Sequence[list[int]], processes: int
) -> Generator[Any, None, None]:
    """What ``work`` makes of each batch, as JSON knows it, in whatever order it is done.

    Raises ProcessError when a process cannot start, or ends before its work does; what it had to say is on standard
    error.
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
                raise ProcessError(f"process {number + 1} of {processes} cannot start: {error}; {_FEWER}") from error
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
    # The ends that the first process listens at: held here, too, nobody would notice that it was killed.
    for connection in inherited:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began this one ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever that one does besides
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):  # nobody listens any more
        for batch in batches:
            out.send_bytes(json.dumps(work(batch)).encode())


def _finish(member: ForkProcess) -> None:
    member.join()
    if member.exitcode:
        perhaps = ", of too little memory perhaps" if member.exitcode == -signal.SIGKILL else ""
        raise ProcessError(
            f"one of the processes that shared the work ended with {member.exitcode}{perhaps}; {_FEWER}, or for "
            "smaller batches"
        )
