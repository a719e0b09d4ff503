import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import JobHeldError, UnknownNameError
from registry import Registry

JOB = "d" * 64


def test_a_job_is_held_and_given_back(registry: Registry) -> None:
    assert registry.jobs.get(JOB) is None
    before = datetime.now(UTC)
    held = registry.jobs.hold(JOB, "addition", "first", seconds=60)
    assert (held.state, held.holder, held.attempt, held.kind, held.run) == ("running", "first", 1, "addition", None)
    assert held.expires is not None
    assert before + timedelta(seconds=60) <= held.expires <= datetime.now(UTC) + timedelta(seconds=60)
    assert registry.jobs.get(JOB) == held
    finished = registry.jobs.release(JOB, "first", "finished")
    assert (finished.state, finished.holder, finished.expires) == ("finished", None, None)
    assert registry.jobs.hold(JOB, "addition", "second") == finished


def test_a_second_holder_is_told_of_the_first(registry: Registry) -> None:
    held = registry.jobs.hold(JOB, "addition", "host-a:17")
    assert held.expires is not None
    until = f"{held.expires:%Y-%m-%d %H:%M:%S} UTC"
    with pytest.raises(JobHeldError, match=re.escape(f"(addition) is held by host-a:17 until {until}; wait for it")):
        registry.jobs.hold(JOB, "addition", "host-b:18")
    assert registry.jobs.get(JOB) == held


def test_the_same_holder_may_hold_again(registry: Registry) -> None:
    first = registry.jobs.hold(JOB, "addition", "first", seconds=1)
    second = registry.jobs.hold(JOB, "addition", "first", seconds=60)
    assert first.expires is not None
    assert second.expires is not None
    assert second.expires > first.expires


def test_a_stale_lease_is_taken_over(registry: Registry) -> None:
    registry.jobs.hold(JOB, "addition", "first", seconds=0.05)
    registry.jobs.set_run(JOB, "run-1")
    time.sleep(0.06)
    taken = registry.jobs.hold(JOB, "addition", "second")
    assert (taken.holder, taken.attempt, taken.run) == ("second", 1, "run-1")
    with pytest.raises(JobHeldError, match="is held by second until"):
        registry.jobs.renew(JOB, "first")
    with pytest.raises(JobHeldError, match="is held by second until"):
        registry.jobs.release(JOB, "first", "finished")
    assert registry.jobs.get(JOB) == taken


def test_a_stale_lease_that_nobody_took_can_be_renewed(registry: Registry) -> None:
    registry.jobs.hold(JOB, "addition", "first", seconds=0)
    registry.jobs.renew(JOB, "first", seconds=60)
    with pytest.raises(JobHeldError):
        registry.jobs.hold(JOB, "addition", "second")


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_work_that_did_not_finish_goes_on(registry: Registry, state: str) -> None:
    registry.jobs.hold(JOB, "addition", "first")
    registry.jobs.set_run(JOB, "run-1")
    registry.jobs.release(JOB, "first", "failed" if state == "failed" else "stopped")
    with pytest.raises(JobHeldError, match=f"is {state} and has no holder"):
        registry.jobs.renew(JOB, "first")
    held = registry.jobs.hold(JOB, "addition", "second")
    assert (held.state, held.holder, held.attempt, held.run) == ("running", "second", 1, "run-1")


def test_finished_work_is_done_again_as_the_next_attempt(registry: Registry) -> None:
    registry.jobs.hold(JOB, "addition", "first")
    registry.jobs.set_run(JOB, "run-1")
    running = registry.jobs.again(JOB)
    assert (running.state, running.attempt, running.holder) == ("running", 1, "first")
    registry.jobs.release(JOB, "first", "finished")
    for _ in range(2):
        reopened = registry.jobs.again(JOB)
        assert (reopened.state, reopened.attempt, reopened.run) == ("stopped", 2, None)
    assert registry.jobs.hold(JOB, "addition", "second").attempt == 2


def test_an_unknown_job(registry: Registry) -> None:
    for verb in (
        registry.jobs.again,
        lambda job: registry.jobs.set_run(job, "r"),
        lambda job: registry.jobs.renew(job, "h"),
    ):
        with pytest.raises(UnknownNameError, match=f"unknown job '{JOB}': none is registered yet"):
            verb(JOB)


def test_a_job_is_found_by_its_first_digits(registry: Registry) -> None:
    job, alike = "ab" * 32, "abc" + "0" * 61
    registry.jobs.hold(alike, "addition", "first")
    registry.jobs.hold(job, "addition", "first")
    finished = registry.jobs.release(job, "first", "finished")
    assert registry.jobs.job_of("aba") == registry.jobs.job_of(job) == finished
    assert registry.jobs.job_of("abc").digest == alike
    with pytest.raises(UnknownNameError, match=r"^several jobs begin with ab; write more of its digits$"):
        registry.jobs.job_of("ab")
    message = r"^unknown job 'abb'; expected one of: abababababab, abc000000000$"
    with pytest.raises(UnknownNameError, match=message):
        registry.jobs.job_of("abb")


def test_a_job_that_does_not_exist_is_not_found(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown job 'abb': none is registered yet$"):
        registry.jobs.job_of("abb")


@pytest.mark.parametrize("digest", ["", "AB", "de-en", "a" * 65, "a%"])
def test_what_is_no_digest_finds_no_job(registry: Registry, digest: str) -> None:
    registry.jobs.hold("a" * 64, "addition", "first")
    with pytest.raises(UnknownNameError, match="is not the digest of a job: it has to be 1 to 64 hexadecimal digits"):
        registry.jobs.job_of(digest)


def test_of_two_processes_one_gets_the_lease(registry: Registry, home: Path, start: Callable[..., Any]) -> None:
    text = """
from continual_mt.errors import JobHeldError
from registry import Registry
with Registry.open(home) as registry:
    for number in range(40):
        try:
            registry.jobs.hold(f"{number:064}", "addition", holder)
            answers.send(number)
        except JobHeldError as error:
            assert "is held by" in str(error)
"""
    children = {holder: start(text, home=home, holder=holder) for holder in ("a", "b")}
    won = {holder: child.answers() for holder, child in children.items()}
    assert sorted(won["a"] + won["b"]) == list(range(40))
    for number in range(40):
        record = registry.jobs.get(f"{number:064}")
        assert record is not None
        assert number in won[record.holder or ""]
