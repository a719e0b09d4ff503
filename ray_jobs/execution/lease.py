"""The lease by which one driver holds a job: taken, renewed while the job runs, and released however it ends."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from continual_mt.errors import ContinualMTError, JobHeldError, StoppedError
from registry import JobRecord, Registry
from registry.records.jobs import JobState

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
_OURSELVES = uuid.uuid4().hex[:8]


def holder_name() -> str:
    """The name of this process as a holder, by which people and other drivers find it: ``host:pid:random``."""
    return f"{socket.gethostname()}:{os.getpid()}:{_OURSELVES}"


def is_gone(holder: str) -> bool:
    """Whether a holder is a process of this machine that has ended, so that its lease need not be waited for."""
    host, _, rest = holder.partition(":")
    process = rest.partition(":")[0]
    if host != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(process) == os.getpid() and holder != holder_name()


def take(registry: Registry, digest: str, kind: str) -> JobRecord:
    """Take the lease on a job; a finished job is returned as it is. Raises JobHeldError naming another live holder."""
    try:
        return registry.jobs.hold(digest, kind, holder_name(), LEASE_SECONDS)
    except JobHeldError:
        held = registry.jobs.get(digest)
        if held is None or held.holder is None or not is_gone(held.holder):
            raise
        registry.jobs.release(digest, held.holder, "stopped")
        return registry.jobs.hold(digest, kind, holder_name(), LEASE_SECONDS)


@contextmanager
def kept(registry: Registry, digest: str) -> Iterator[None]:
    """Renew a lease in the background, and release it at the end. Raises JobHeldError if it was lost meanwhile."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_SECONDS):
            try:
                registry.jobs.renew(digest, holder_name(), LEASE_SECONDS)
            except JobHeldError:
                return  # lost to another driver: registering the result will fail
            except ContinualMTError:
                continue  # the database may be back before the lease expires

    thread = threading.Thread(target=renew, daemon=True, name=f"lease {digest[:12]}")
    thread.start()
    try:
        yield
    except (StoppedError, KeyboardInterrupt, SystemExit):
        _release(registry, digest, ended, thread, "stopped")
        raise
    except BaseException:
        _release(registry, digest, ended, thread, "failed")
        raise
    _release(registry, digest, ended, thread, "finished")


def _release(
    registry: Registry, digest: str, ended: threading.Event, thread: threading.Thread, state: JobState
) -> None:
    ended.set()
    thread.join()
    if state == "finished":
        registry.jobs.release(digest, holder_name(), state)
        return
    # The error that ended the job is the one to report; a lease that cannot be released expires by itself.
    with suppress(ContinualMTError):
        registry.jobs.release(digest, holder_name(), state)
