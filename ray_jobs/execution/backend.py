"""What a job trains on: the protocol that the back ends share, on a Ray cluster and in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from continual_mt.errors import ContinualMTError
from continual_mt.training.progress import ProgressReport

if TYPE_CHECKING:  # the progress actor is a separate process, which needs no PyTorch
    from continual_mt.artifacts.recipe import Recipe
    from continual_mt.config.spec import Resources
    from continual_mt.training.checkpoint import Checkpoint
    from continual_mt.training.environment import Environment
    from ray_jobs.console import Display
    from ray_jobs.execution.checkpoints import RunCheckpoints
    from ray_jobs.planning.training_task import TrainingTask
    from registry import Registry
    from registry.corpora import ResolvedTest
    from registry.evaluation import Evaluation


@dataclass(frozen=True)
class Share:
    """The resources that each worker of a job gets."""

    workers: int
    cpus: int
    gpus: float

    def bundle(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)} | ({"GPU": self.gpus} if self.gpus else {})

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPUs" if self.gpus else ""
        return f"{self.workers} × ({self.cpus} CPUs{gpus})"


@dataclass(frozen=True)
class ProgressUpdate:
    """What happened in a training since the last update. ``error`` is one that another try would meet again.

    ``environment`` is what the first worker computes in, once that is known. ``wanted`` are the keys of all texts that
    workers have asked the driver for so far.
    """

    reports: list[ProgressReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: ContinualMTError | None = None
    environment: Environment = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)


class RunningTraining(Protocol):
    """A training that a back end has started or resumed."""

    @property
    def environment(self) -> Environment:
        """What its first worker computes in, once that is known."""

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        """Pass on progress, and return whether the training has ended.

        Waits for its end ``seconds`` at most; training in this process runs to its end instead. Once ``stop`` is set
        the training ends after a checkpoint. Raises ClusterError if the cluster was lost.
        """

    def checkpoint(self) -> Checkpoint:
        """The last checkpoint of a training that has ended; it holds the best parameters.

        Raises StoppedError if the training was stopped, the worker's own error if another try would meet it again, and
        TrainingError if the back end gave up.
        """


class TrainingBackend(Protocol):
    """Where jobs train and are evaluated."""

    def check_resources(self, title: str, resources: Resources) -> None:
        """Raise SpecError for resources that this kind of back end never has. Starts nothing."""

    def connect(self, local: Sequence[str]) -> None:
        """Start or connect to what trains, unless that was done; `close` ends it.

        ``local`` names what only this machine can use. Raises ClusterError if that is not enough for the back end, or
        if the back end cannot be used.
        """

    def check_shared(self, local: Sequence[str]) -> None:
        """Raise ClusterError if several machines would need what only this one can use."""

    def check_size(self, title: str, resources: Resources) -> None:
        """Raise ClusterError for resources that the back end will never have."""

    def has_room(self, resources: Resources) -> bool:
        """Whether another training can start now, beside those that this back end runs."""

    def await_capacity(self, resources: Resources, say: Callable[[str], None]) -> Share:
        """Wait until the workers fit; return what each of them gets. Raises ClusterError if they do not."""

    def start(
        self,
        task: TrainingTask,
        checkpoints: RunCheckpoints,
        share: Share,
        max_failures: int,
        on_update: Callable[[ProgressUpdate], None],
    ) -> RunningTraining:
        """Start a training, or resume it from the newest of its checkpoints. ``on_update`` receives its progress."""

    def evaluate(
        self, registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, display: Display
    ) -> list[Evaluation]:
        """Translate test sets and register the scores, in the order of ``work``."""

    def close(self) -> None:
        """End or leave what `connect` started or connected to."""
