from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from continual_mt.errors import JobHeldError, StoppedError, TrainingError
from ray_jobs.execution import lease
from registry import JobRecord, Registry

DIGEST = "d" * 64


def job(registry: Registry) -> JobRecord:
    found = registry.jobs.get(DIGEST)
    assert found is not None
    return found


def test_a_second_driver_is_refused_and_told_of_the_first(registry: Registry) -> None:
    # Process 1 is always there and never ours.
    first = f"{socket.gethostname()}:1:abcdefgh"
    registry.jobs.hold(DIGEST, "addition", first, 60)
    with pytest.raises(JobHeldError, match=re.escape(first)):
        lease.take(registry, DIGEST, "addition")


def test_another_machines_driver_is_waited_for_until_its_lease_ends(registry: Registry) -> None:
    expires = registry.jobs.hold(DIGEST, "addition", "elsewhere:999999:abcdefgh", 2.0).expires
    assert expires is not None
    with pytest.raises(JobHeldError, match="elsewhere:999999"):
        lease.take(registry, DIGEST, "addition")
    time.sleep((expires - datetime.now(UTC)).total_seconds() + 0.1)
    assert lease.take(registry, DIGEST, "addition").holder == lease.holder_name()


def test_a_dead_driver_of_this_machine_is_succeeded_at_once(registry: Registry) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        registry.jobs.hold(DIGEST, "addition", f"{socket.gethostname()}:{process.pid}:abcdefgh", 3600)
        assert lease.take(registry, DIGEST, "addition").holder == lease.holder_name()


def test_a_process_that_got_a_dead_drivers_number_succeeds_it(registry: Registry) -> None:
    registry.jobs.hold(DIGEST, "addition", f"{socket.gethostname()}:{os.getpid()}:abcdefgh", 3600)
    assert lease.take(registry, DIGEST, "addition").holder == lease.holder_name()


def test_a_lease_is_renewed_while_work_goes_on(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    registry.jobs.hold(DIGEST, "addition", lease.holder_name(), 0.5)
    with lease.kept(registry, DIGEST):
        time.sleep(0.7)
        expires = job(registry).expires
        assert expires is not None
        assert expires > datetime.now(UTC) + timedelta(seconds=30)
    assert job(registry).state == "finished"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (StoppedError("stopped"), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (TrainingError("the loss is not finite"), "failed"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_a_lease_is_given_back_however_the_work_ends(registry: Registry, error: BaseException, state: str) -> None:
    lease.take(registry, DIGEST, "addition")
    with pytest.raises(type(error)), lease.kept(registry, DIGEST):
        raise error
    assert (job(registry).state, job(registry).holder) == (state, None)
    lease.take(registry, DIGEST, "addition")


def test_finished_work_is_given_back_as_it_is(registry: Registry) -> None:
    lease.take(registry, DIGEST, "addition")
    with lease.kept(registry, DIGEST):
        pass
    assert lease.take(registry, DIGEST, "addition").state == "finished"


def test_a_lost_lease_is_seen_at_the_end(registry: Registry) -> None:
    lease.take(registry, DIGEST, "addition")

    def lose_it() -> None:
        with lease.kept(registry, DIGEST):
            registry.jobs.release(DIGEST, lease.holder_name(), "stopped")
            registry.jobs.hold(DIGEST, "addition", "elsewhere:1:abcdefgh", 60)

    with pytest.raises(JobHeldError, match="elsewhere:1:abcdefgh"):
        lose_it()
