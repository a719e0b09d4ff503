"""A job under way, where in a sequence it stands, and what comes of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass

from continual_mt.errors import ContinualMTError, JobHeldError, RegistryError, StoppedError
from ray_jobs.cluster.ray_trainer import Training
from ray_jobs.execution.evaluation import Evaluation
from ray_jobs.planning.resolve import ResolvedJob, ResolvedTest
from ray_jobs.tracking import describe
from ray_jobs.tracking.describe import Registered
from registry import ModuleRecord
from registry.records.values import JSONObject


@dataclass(frozen=True)
class Outcome:
    """What a job left in the registry. ``evaluations`` are those made now; earlier scores are in the registry."""

    record: Registered
    trained_now: bool
    evaluations: tuple[Evaluation, ...]
    run: str | None

    @property
    def name(self) -> str:
        return describe.name_of(self.record)

    def to_json(self) -> JSONObject:
        return {
            "name": self.name,
            "trained_now": self.trained_now,
            "run": self.run,
            "record": self.record.to_json(),
            "scores": [score.to_json() for evaluation in self.evaluations for score in evaluation.scores],
        }


@dataclass(frozen=True)
class Place:
    """Where in a sequence an addition is scored: ``beside`` are the modules that its own goes together with."""

    beside: tuple[ModuleRecord, ...]
    tests: tuple[ResolvedTest, ...]


Steps = Generator[Training | None, Place | None, Outcome]
"""A job from its lease to its scores. Yields its training, to go on once that has ended; then, registered, None, to go
on with its place once it may be scored."""


class Work:
    """A job that goes on step by step, so that one thread can keep several under way. Nothing is done as it is made."""

    def __init__(self, job: ResolvedJob, steps: Steps) -> None:
        self.job = job
        self.training: Training | None = None
        """What it waits for, while it trains."""
        self.error: ContinualMTError | None = None
        """What it failed with on the way to being scored."""
        self._steps = steps
        self._begun = False

    def go_on(self) -> None:
        """Begin, or go on behind the training that has ended. Raises what goes wrong, and is over then."""
        self.training = None
        try:
            self.training = next(self._steps)
        except ContinualMTError as error:
            self.error = error
            raise
        self._begun = True

    def score(self, place: Place | None = None) -> Outcome:
        """Do the rest. Raises the error that the job failed with, be it before."""
        if self.error is not None:
            raise self.error
        try:
            self._steps.send(place)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        raise AssertionError("a job has no step behind its scores")

    def ends_all(self, error: ContinualMTError) -> bool:
        """Whether what it failed with concerns the jobs beside it too: a signal, the database, or that leases are lost.

        A job that another driver held from the beginning concerns no other.
        """
        return isinstance(error, StoppedError | RegistryError) or (self._begun and isinstance(error, JobHeldError))

    def close(self) -> None:
        """Leave what is not done as stopped: the lease is given back, and the MLflow run ends as killed."""
        with suppress(StoppedError):
            self._steps.throw(StoppedError("left before it was scored"))
