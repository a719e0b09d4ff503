"""The steps of a job, on a back end whose training a test ends."""

from __future__ import annotations

import io
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from rich.console import Console

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import (
    ContinualMTError,
    JobHeldError,
    RegistryError,
    StoppedError,
    StorageError,
    TrainingError,
)
from continual_mt.home import Home
from continual_mt.training.checkpoint import Checkpoint, Progress
from ray_jobs.console import Display
from ray_jobs.execution import lease
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.context import JobContext
from ray_jobs.execution.job import Job, ScoringContext
from ray_jobs.execution.local_backend import LocalBackend, LocalTraining
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

NEVER = threading.Event()


class Untrained(LocalBackend):
    """Trainings that end at once: with the starting values, or with an error."""

    error: ContinualMTError | None = None

    def start(self, task: TrainingTask, *given: Any) -> LocalTraining:
        training, error = super().start(task, *given), self.error

        class Ended(LocalTraining):
            def poll(self, stop: threading.Event, seconds: float) -> bool:
                return True

            def checkpoint(self) -> Checkpoint:
                if error is not None:
                    raise error
                names = task.trained
                best = {name: tensor for name, tensor in task.starting_tensors().items() if name in names}
                return Checkpoint(Progress(update=8, finished=True), best, best)

        training.__class__ = Ended
        return training


@pytest.fixture
def backend() -> Untrained:
    return Untrained()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def context(
    registry: Registry, backend: Untrained, log: io.StringIO, mlflow_database: Path, tmp_path: Path
) -> JobContext:
    shutil.copy(mlflow_database, tmp_path / "home")
    return JobContext(registry, Home(tmp_path / "home"), backend, Display(Console(file=log, width=200)))


@pytest.fixture
def resolved(registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path) -> ResolvedJob:
    return resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path)


@pytest.fixture
def job(context: JobContext, resolved: ResolvedJob) -> Iterator[Job]:
    job = Job(context, resolved)
    yield job
    job.close()


def state(registry: Registry, job: Job) -> tuple[str, str | None]:
    held = registry.jobs.get(job.resolved.digest)
    assert held is not None
    return held.state, held.holder


def run_status(registry: Registry, job: Job) -> str:
    held = registry.jobs.get(job.resolved.digest)
    assert held is not None
    assert held.run is not None
    home = Path(registry.blobs.place).parent
    return str(MlflowClient(tracking_uri=Home(home).tracking).get_run(held.run).info.status)


def test_nothing_happens_before_it_starts(registry: Registry, job: Job) -> None:
    job.close()
    assert registry.jobs.get(job.resolved.digest) is None


def test_start_finish_score(registry: Registry, job: Job, log: io.StringIO) -> None:
    training = job.start()
    assert training is not None
    assert state(registry, job) == ("running", lease.holder_name())
    assert registry.modules() == []
    assert training.poll(NEVER, 0.0)
    record = job.finish()
    assert registry.modules() == [record]
    assert state(registry, job) == ("running", lease.holder_name())
    assert registry.scores() == []
    outcome = job.score()
    assert (outcome.record, outcome.trained_now, outcome.name) == (record, True, "es-en/pt-en:1")
    assert {str(evaluation.recipe.pair) for evaluation in outcome.evaluations} == {"pt-en"}
    assert state(registry, job) == ("finished", None)
    assert run_status(registry, job) == "FINISHED"
    assert "pt-en xattn: registered now, as es-en/pt-en:1" in log.getvalue()


def test_what_is_finished_is_only_scored_where_scores_are_missing(
    registry: Registry, context: JobContext, resolved: ResolvedJob, job: Job, log: io.StringIO
) -> None:
    job.start()
    job.finish()
    first = job.score(ScoringContext((), ()))
    assert first.evaluations == ()
    again = Job(context, resolved)
    assert again.start() is None
    assert again.finish() == first.record
    outcome = again.score()
    assert (outcome.trained_now, outcome.run) == (False, first.run)
    assert len(outcome.evaluations) == 1
    assert "pt-en xattn: done before, as es-en/pt-en:1" in log.getvalue()
    third = Job(context, resolved)
    third.start()
    third.finish()
    assert third.score().evaluations == ()
    fourth = Job(replace(context, rescore=True), resolved)
    fourth.start()
    fourth.finish()
    assert [evaluation.carried for evaluation in fourth.score().evaluations] == [False]


def test_what_was_registered_before_the_driver_was_killed_is_not_trained_again(
    registry: Registry, context: JobContext, resolved: ResolvedJob, job: Job, log: io.StringIO
) -> None:
    job.start()
    record = job.finish()
    job.close()
    assert state(registry, job) == ("stopped", None)
    assert run_status(registry, job) == "KILLED"
    second = Job(context, resolved)
    assert second.start() is None
    assert second.finish() == record
    outcome = second.score()
    assert not outcome.trained_now
    assert state(registry, job) == ("finished", None)
    assert "pt-en xattn: registered before, as es-en/pt-en:1" in log.getvalue()


def test_finished_work_whose_result_is_gone_is_named(
    registry: Registry, context: JobContext, resolved: ResolvedJob, job: Job
) -> None:
    job.start()
    job.finish()
    registry.annotations.delete(job.score().name)
    second = Job(context, resolved)
    with pytest.raises(RegistryError, match=r"is finished, but what it made is not in .*; use --again"):
        second.start()


@pytest.mark.parametrize(
    ("error", "ended", "run"),
    [
        (TrainingError("the loss is not finite"), "failed", "FAILED"),
        (StoppedError("stopped at update 3"), "stopped", "KILLED"),
    ],
)
def test_an_error_ends_lease_and_run_and_is_raised_again_by_score(
    registry: Registry, backend: Untrained, job: Job, error: ContinualMTError, ended: str, run: str
) -> None:
    backend.error = error
    job.start()
    with pytest.raises(type(error), match=str(error)):
        job.finish()
    assert job.error is error
    assert (state(registry, job), run_status(registry, job)) == ((ended, None), run)
    with pytest.raises(type(error), match=str(error)):
        job.score()
    assert registry.modules() == []


def test_a_lost_lease_registers_nothing(registry: Registry, job: Job) -> None:
    job.start()
    digest = job.resolved.digest
    registry.jobs.release(digest, lease.holder_name(), "stopped")
    registry.jobs.hold(digest, "addition", "elsewhere:1:abcdefgh", 60)
    with pytest.raises(JobHeldError, match="elsewhere:1:abcdefgh"):
        job.finish()
    assert registry.modules() == []
    assert state(registry, job) == ("running", "elsewhere:1:abcdefgh")


def test_a_job_that_another_driver_holds_is_not_started(registry: Registry, job: Job) -> None:
    registry.jobs.hold(job.resolved.digest, "addition", "elsewhere:1:abcdefgh", 60)
    with pytest.raises(JobHeldError, match="elsewhere:1:abcdefgh") as caught:
        job.start()
    assert not job.affects_others(caught.value)


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (TrainingError("the loss is not finite"), False, False),
        (StorageError("the disk is full"), False, False),
        (JobHeldError("held by elsewhere:1"), False, True),
        (RegistryError("the database is gone"), True, True),
        (StoppedError("stopped"), True, True),
    ],
)
def test_which_failures_affect_other_jobs(job: Job, error: ContinualMTError, before: bool, after: bool) -> None:
    assert job.affects_others(error) == before
    job.start()
    assert job.affects_others(error) == after


def test_the_parent_is_loaded_once(registry: Registry, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the tokenizers, the training in the process, the new module and the scores."""
    store, read = type(registry.blobs), []

    def counting(verb: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def counted(self: Any, digest: str) -> Any:
            read.append(digest)
            return verb(self, digest)

        return counted

    for name in ("get", "file"):  # weights are mapped from files
        monkeypatch.setattr(store, name, counting(getattr(store, name)))
    job.start()
    job.finish()
    job.score()
    pieces = registry.parent("es-en").pieces
    assert [read.count(pieces[name]) for name in ("encoder.safetensors", "source.model")] == [1, 1]


def test_an_earlier_test_set_is_scored_again_although_its_files_are_gone(
    registry: Registry, context: JobContext, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    spec = addition_spec("pt-en")
    files = {}
    for key, path in (("source", spec.tests[0].source), ("target", spec.tests[0].target)):
        assert path is not None
        files[key] = Path(shutil.copy(path, tmp_path / path.name))
    tests = (spec.tests[0].model_copy(update=files),)
    parent = registry.parent("es-en")
    first = Job(context, resolve(spec.model_copy(update={"tests": tests}), parent, tmp_path))
    first.start()
    first.finish()
    first.score()
    for file in files.values():
        file.unlink()
    second = Job(context, resolve(addition_spec("es-de"), parent, tmp_path))
    second.start()
    second.finish()
    assert {str(evaluation.recipe.pair) for evaluation in second.score().evaluations} == {"pt-en", "es-de"}


def test_unchanged_pairs_are_carried_forward_unless_rescored(
    context: JobContext, parent_spec: Callable[..., ParentSpec], log: io.StringIO, tmp_path: Path
) -> None:
    registry = context.registry
    (test,) = resolve(parent_spec(), None, tmp_path).tests
    work = [(registry.recipe_catalog.recipe("es", "en"), test)]
    first, second = context.evaluate(work, 1), context.evaluate(work, 1)
    rescored = replace(context, rescore=True).evaluate(work, 1)
    assert [evaluation.carried for (evaluation,) in (first, second, rescored)] == [False, True, False]
    assert first[0].scores == second[0].scores
    lines = log.getvalue().splitlines()
    assert [line.endswith("(carried forward: its logits are bit-equal)") for line in lines] == [False, True, False]
    measured = re.compile(r": bleu [0-9.]+, chrf [0-9.]+, chrfpp [0-9.]+, offtarget [0-9.]+ \(of references [0-9.]+")
    assert all(measured.search(line) for line in lines)


def test_a_job_notes_what_it_works_on_and_reports_unfinished_work(
    registry: Registry, context: JobContext, resolved: ResolvedJob, job: Job, log: io.StringIO
) -> None:
    job.start()
    job.close()
    held = registry.jobs.get(resolved.digest)
    assert held is not None
    assert held.spec is not None
    assert (held.spec["pair"], held.spec["parent"], held.identity) == ("pt-en", "es-en", resolved.identity)
    assert held.folder == str(context.home.jobs / f"addition-pt-en-{resolved.digest[:32]}-1")
    storage, _, name = held.folder.rpartition("/")
    tensor = torch.zeros(2)
    RunCheckpoints(storage, name).save(Checkpoint(Progress(update=4), {"a": tensor}, {"a": tensor}))
    second = Job(context, replace(resolved, spec=resolved.spec.model_copy(update={"seed": 7})))
    second.start()
    second.close()
    printed = " ".join(log.getvalue().split())
    assert "pt-en xattn: an unfinished run of pt-en exists: it was stopped at update 4 of 8 on" in printed
    assert "and differs in seed (1, now 7). This run starts from the beginning." in printed
