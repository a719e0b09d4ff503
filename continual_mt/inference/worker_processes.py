"""Forked processes of one thread each that share the batches of a search.

A search consists of many small matrix products, which threads hardly speed up: at each product all threads wait for the
slowest one, which may share its processor with other work. Processes do not wait for each other. Any thread may start
them, also several threads at once.

``concurrent.futures.ProcessPoolExecutor`` was tried and has these disadvantages: when one process is killed, it ends
the others in a way that hides the exit code of the killed one, so "out of memory" cannot be distinguished from
"terminated"; when a process cannot be started, it leaves the others running and hangs; before Python 3.14 it cannot end
processes that are in the middle of a batch; and when the first process is killed, the others keep running.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import torch

from continual_mt.errors import ProcessError
from continual_mt.threads import after_fork

_FEWER = "Fix: use fewer processes"

# While one thread starts a process, the others start none, which would inherit the writing end of its pipe.
_starting = threading.Lock()
_open: set[Connection] = set()
"""The reading ends of all pipes. If other processes kept them open, writing would succeed after this one was killed."""


def _close_inherited() -> None:
    global _starting
    _starting = threading.Lock()
    for connection in _open:
        connection.close()
    _open.clear()


after_fork(_close_inherited)


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
    all its results have arrived; its own error is on standard error.
    """
    members: dict[Connection, _Member] = {}
    processes = min(processes, len(batches))
    try:
        for number in range(processes):
            share = batches[number::processes]
            try:
                connection, process = _start(work, share)
            except OSError as error:
                raise ProcessError(f"process {number + 1} of {processes}: cannot start ({error}). {_FEWER}") from error
            members[connection] = _Member(process, len(share))
        while members:
            for ready in wait(list(members)):
                assert isinstance(ready, Connection)
                member = members[ready]
                try:
                    result = json.loads(ready.recv_bytes())
                except (EOFError, OSError):
                    raise _failure(member.process) from None
                member.missing -= 1
                if not member.missing:
                    _end(ready, members.pop(ready).process)
                yield result
    finally:
        for connection, member in members.items():
            _end(connection, member.process)


@dataclass
class _Member:
    process: ForkProcess
    missing: int
    """The number of results that have not arrived."""


def _start(work: Callable[[list[int]], Any], share: Sequence[list[int]]) -> tuple[Connection, ForkProcess]:
    context = multiprocessing.get_context("fork")
    with _starting:
        ours, theirs = context.Pipe(duplex=False)
        _open.add(ours)
        process = context.Process(target=_do, args=(work, share, theirs), daemon=True)
        try:
            process.start()
        except OSError:
            _close(ours)
            raise
        finally:
            theirs.close()
    return ours, process


def _close(connection: Connection) -> None:
    _open.discard(connection)
    connection.close()


def _end(connection: Connection, process: ForkProcess) -> None:
    process.kill()
    process.join()
    with _starting:
        _close(connection)


def _do(work: Callable[[list[int]], Any], share: Sequence[list[int]], out: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the handler of the first process
    torch.set_num_threads(1)
    code = 0
    try:
        for batch in share:
            out.send_bytes(json.dumps(work(batch)).encode())
    except BrokenPipeError:  # the first process has ended
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        code = 1
    # Not the interpreter's own end: after a fork by a thread that is not the main one, it fails.
    os._exit(code)


def _failure(process: ForkProcess) -> ProcessError:
    process.join()
    code = process.exitcode
    killed = " (killed, possibly for lack of memory)" if code == -signal.SIGKILL else ""
    ended = "ended" if code is None else f"ended with exit code {code}{killed}"  # None if the program reaped it itself
    return ProcessError(f"a worker process: {ended} before its work was done. {_FEWER}, or smaller batches")
