"""Training on Ray Train, and evaluation as Ray tasks, on a cluster that is started here or exists already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.spec import Resources
from continual_mt.errors import SpecError
from ray_jobs.cluster import connection
from ray_jobs.cluster.evaluation_tasks import evaluate_on_cluster
from ray_jobs.cluster.ray_trainer import RayTraining
from ray_jobs.console import Display
from ray_jobs.execution.backend import ProgressUpdate, Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.devices import missing_gpu
from ray_jobs.execution.scoring import evaluate_in_process
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation

FEW_SENTENCES = 200
"""Fewer test sentences are translated here: each task first imports PyTorch, which takes seconds of CPU."""


class RayBackend:
    """A `TrainingBackend` on the cluster at ``address``, which all trainings share; see `connection.connected`."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self._stack = ExitStack()
        self._connected = False
        self._trainings: list[RayTraining] = []

    def check_resources(self, title: str, resources: Resources) -> None:
        """Raise SpecError for a GPU that PyTorch does not find, if Ray is to start on this machine.

        What a cluster has is not known until it is connected to.
        """
        if connection.starts_here(self.address) and (problem := missing_gpu(resources)):
            raise SpecError(f"{title} with Ray on this machine", [problem])

    def connect(self, local: Sequence[str]) -> None:
        if self._connected:
            return
        self._stack.enter_context(connection.connected(self.address))
        self._connected = True
        self.check_shared(local)

    def check_shared(self, local: Sequence[str]) -> None:
        connection.check_shared(len(connection.nodes()), local)

    def check_size(self, title: str, resources: Resources) -> None:
        connection.check_size(title, resources)

    def has_room(self, resources: Resources) -> bool:
        self._trainings = [training for training in self._trainings if not training.ended]
        shares = [training.share for training in self._trainings]
        coming = [training.share for training in self._trainings if not training.has_workers]
        return connection.has_room(connection.share_of(resources), shares, coming)

    def await_capacity(self, resources: Resources, say: Callable[[str], None]) -> Share:
        share = connection.share_of(resources)
        connection.await_capacity(share, resources.wait_minutes, say)
        connection.check_gpus(share)
        return share

    def start(
        self,
        task: TrainingTask,
        checkpoints: RunCheckpoints,
        share: Share,
        max_failures: int,
        on_update: Callable[[ProgressUpdate], None],
    ) -> RayTraining:
        training = RayTraining(task, checkpoints, share, max_failures, on_update)
        self._trainings.append(training)
        return training

    def evaluate(
        self, registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, display: Display
    ) -> list[Evaluation]:
        """Evaluate as Ray tasks, or here if the cluster was not needed so far or would not be faster."""
        if not self._connected or len(work) < 2 or sum(len(test.sources) for _, test in work) < FEW_SENTENCES:
            return evaluate_in_process(registry, work, beam, display)
        with display.counting("scoring", len(work)) as progress:
            return evaluate_on_cluster(registry, work, beam, progress)

    def close(self) -> None:
        self._stack.close()
        self._connected = False
