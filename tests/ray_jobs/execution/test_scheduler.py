"""Several jobs on one scheduler, with trainings that end when a test lets them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from continual_mt.config.spec import Resources
from continual_mt.errors import ClusterError, ContinualMTError, JobHeldError, StoppedError, TrainingError
from ray_jobs.execution.local_backend import LocalBackend
from ray_jobs.execution.scheduler import train_together

Poll = Callable[["Training", threading.Event], bool]


class Training:
    """Ends at its poll number ``polls``; ``on_poll`` decides otherwise."""

    def __init__(self, polls: int, on_poll: Poll | None) -> None:
        self.environment: Any = {}
        self.polls, self.on_poll = polls, on_poll
        self.polled = 0
        self.asked_to_stop = False

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        self.polled += 1
        self.asked_to_stop = self.asked_to_stop or stop.is_set()
        ended = self.polled >= self.polls or stop.is_set()
        return self.on_poll(self, stop) if self.on_poll else ended

    def checkpoint(self) -> Any:
        raise AssertionError("jobs of this test make nothing")


class OneJob:
    """A job that writes its steps to a log."""

    resources = Resources()

    def __init__(self, title: str, log: list[str], polls: int = 1, on_poll: Poll | None = None) -> None:
        self.title, self.log = title, log
        self.error: ContinualMTError | None = None
        self.training: Training | None = Training(polls, on_poll)
        self.fails_to_start: ContinualMTError | None = None
        self.fails: ContinualMTError | None = None
        self.closed = False

    def start(self) -> Training | None:
        self.log.append(f"start {self.title}")
        self._raise(self.fails_to_start)
        return self.training

    def finish(self) -> None:
        self.log.append(f"finish {self.title}")
        if self.training is not None and self.training.asked_to_stop:
            self._raise(StoppedError(f"{self.title} stopped at update 3"))
        self._raise(self.fails)

    def _raise(self, error: ContinualMTError | None) -> None:
        if error is not None:
            self.error = error
            raise error

    def affects_others(self, error: ContinualMTError) -> bool:
        return isinstance(error, StoppedError)

    def close(self) -> None:
        self.closed = True


class Backend(LocalBackend):
    """Has room for a number of jobs at the same time."""

    def __init__(self, room: int, log: list[str]) -> None:
        self.room, self.log = room, log

    def has_room(self, resources: Resources) -> bool:
        starts, ends = (sum(line.startswith(step) for line in self.log) for step in ("start", "finish"))
        return starts - ends < self.room


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def messages() -> list[str]:
    return []


def test_as_many_train_as_there_is_room_for_and_the_next_follows_one_that_ends(
    log: list[str], messages: list[str]
) -> None:
    jobs = [OneJob("one", log, 3), OneJob("two", log, 1), OneJob("three", log, 1)]
    assert train_together(jobs, Backend(2, log), messages.append) == jobs
    assert log == ["start one", "start two", "finish two", "start three", "finish three", "finish one"]
    assert not any(job.closed for job in jobs)


def test_with_room_for_one_only_the_first_trains(log: list[str], messages: list[str]) -> None:
    jobs = [OneJob("one", log), OneJob("two", log)]
    assert train_together(jobs, Backend(1, log), messages.append) == jobs[:1]
    assert log == ["start one", "finish one"]


def test_what_needs_no_training_is_finished_at_once(log: list[str], messages: list[str]) -> None:
    jobs = [OneJob("one", log), OneJob("two", log)]
    jobs[0].training = None
    assert train_together(jobs, Backend(2, log), messages.append) == jobs[:1]
    assert log == ["start one", "finish one"]


def test_one_that_fails_is_reported_and_the_others_continue(log: list[str], messages: list[str]) -> None:
    jobs = [OneJob("one", log), OneJob("two", log, 2), OneJob("three", log)]
    jobs[0].fails = TrainingError("the loss is not finite")
    jobs[1].fails_to_start = JobHeldError("held by elsewhere")
    assert train_together(jobs, Backend(3, log), messages.append) == jobs
    assert [job.error for job in jobs] == [jobs[0].fails, jobs[1].fails_to_start, None]
    assert messages == ["two: held by elsewhere", "one: the loss is not finite"]


def test_the_only_job_leaves_its_error_to_the_caller(log: list[str], messages: list[str]) -> None:
    (job,) = jobs = [OneJob("one", log)]
    job.fails = TrainingError("the loss is not finite")
    assert train_together(jobs, Backend(1, log), messages.append) == jobs
    assert (job.error, messages) == (job.fails, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_after_a_checkpoint(log: list[str], messages: list[str], number: signal.Signals) -> None:
    def interrupted(training: Training, stop: threading.Event) -> bool:
        if training.polled == 2:
            os.kill(os.getpid(), number)
        return stop.is_set() and training.polled > 2

    before = signal.getsignal(number)
    jobs = [OneJob("one", log, 9, interrupted), OneJob("two", log, 9), OneJob("three", log)]
    with pytest.raises(StoppedError, match="two stopped at update 3"):
        train_together(jobs, Backend(2, log), messages.append)
    assert [type(job.error) for job in jobs[:2]] == [StoppedError, StoppedError]
    assert "start three" not in log
    assert all(job.closed for job in jobs)
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait_for_checkpoints(log: list[str], messages: list[str]) -> None:
    def interrupted(training: Training, stop: threading.Event) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal raises KeyboardInterrupt")

    jobs = [OneJob("one", log, 9, interrupted), OneJob("two", log, 9)]
    with pytest.raises(KeyboardInterrupt):
        train_together(jobs, Backend(2, log), messages.append)
    assert not [line for line in log if line.startswith("finish")]
    assert all(job.closed for job in jobs)


def test_a_lost_cluster_ends_all(log: list[str], messages: list[str]) -> None:
    def lost(training: Training, stop: threading.Event) -> bool:
        raise ClusterError("the cluster was lost")

    jobs = [OneJob("one", log, 9, lost), OneJob("two", log, 9)]
    with pytest.raises(ClusterError, match="the cluster was lost"):
        train_together(jobs, Backend(2, log), messages.append)
    assert all(job.closed for job in jobs)
