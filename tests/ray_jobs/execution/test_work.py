from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import ContinualMTError, JobHeldError, RegistryError, StoppedError, StorageError, TrainingError
from ray_jobs.execution.work import Outcome, Place, Steps, Work
from ray_jobs.planning.resolve import ResolvedJob, resolve
from registry import Registry


@pytest.fixture
def job(registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path) -> ResolvedJob:
    return resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path)


@pytest.fixture
def outcome(registry: Registry) -> Outcome:
    return Outcome(registry.parent("es-en"), True, (), "run")


def test_a_job_goes_on_step_by_step_and_ends_with_its_outcome(job: ResolvedJob, outcome: Outcome) -> None:
    places: list[Place | None] = []

    def steps() -> Steps:
        places.append((yield None))
        return outcome

    work, place = Work(job, steps()), Place((), ())
    work.go_on()
    assert (work.training, work.error, places) == (None, None, [])
    assert work.score(place) == outcome
    assert places == [place]
    work.close()


def test_what_it_failed_with_is_raised_when_it_is_to_be_scored(job: ResolvedJob) -> None:
    error = TrainingError("the loss is not finite")

    def steps() -> Steps:
        yield None
        raise error

    work = Work(job, steps())
    work.go_on()
    with pytest.raises(TrainingError, match="the loss is not finite"):
        work.go_on()
    assert work.error is error
    with pytest.raises(TrainingError, match="the loss is not finite"):
        work.score()


def test_what_is_left_before_it_was_scored_ends_as_stopped(job: ResolvedJob, outcome: Outcome) -> None:
    ended: list[BaseException] = []

    def steps() -> Steps:
        try:
            yield None
        except BaseException as error:
            ended.append(error)
            raise
        return outcome

    work = Work(job, steps())
    work.go_on()
    work.close()
    work.close()
    assert [type(error) for error in ended] == [StoppedError]


@pytest.mark.parametrize(
    ("error", "before", "behind"),
    [
        (TrainingError("the loss is not finite"), False, False),
        (StorageError("the disk is full"), False, False),
        (JobHeldError("held by elsewhere:1"), False, True),
        (RegistryError("the database is gone"), True, True),
        (StoppedError("stopped"), True, True),
    ],
)
def test_which_failures_end_the_jobs_beside_it(
    job: ResolvedJob, error: ContinualMTError, before: bool, behind: bool
) -> None:
    def steps() -> Steps:
        yield None
        raise error

    work = Work(job, steps())
    assert work.ends_all(error) == before
    work.go_on()
    assert work.ends_all(error) == behind
