"""Training and evaluation in this process, without Ray: one worker, on the CPU or a GPU of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import torch

from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.spec import Resources
from continual_mt.data.tokenized_corpus import Fetch
from continual_mt.errors import ContinualMTError, SpecError, TrainingError
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.environment import Environment
from continual_mt.training.progress import ProgressReport
from continual_mt.training.trainer import Trainer
from ray_jobs.console import Display
from ray_jobs.execution.backend import ProgressUpdate, Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.devices import missing_gpu
from ray_jobs.execution.scoring import evaluate_in_process
from ray_jobs.execution.train_task import train_task
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation


class LocalBackend:
    """A `TrainingBackend` in this process: one training at a time, with one worker."""

    def __init__(self) -> None:
        self._training: LocalTraining | None = None

    def check_resources(self, title: str, resources: Resources) -> None:
        """Raise SpecError for several workers, for several GPUs, and for a GPU that PyTorch does not find."""
        problems = []
        if resources.workers > 1:
            problems.append(
                f"resources.workers: {resources.workers} workers; training in the process has one. "
                "Fix: set it to 1, or leave out --in-process (in_process=True) to train on Ray"
            )
        if problem := missing_gpu(resources):
            problems.append(problem)
        elif resources.gpus > 1:
            problems.append(
                f"resources.gpus: {resources.gpus:g} GPUs; training in the process uses one. Fix: set it to 1"
            )
        if problems:
            raise SpecError(f"{title} in the process", problems)

    def connect(self, local: Sequence[str]) -> None:
        """Nothing needs to be started."""

    def check_shared(self, local: Sequence[str]) -> None:
        """This machine can use everything that is local to it."""

    def check_size(self, title: str, resources: Resources) -> None:
        """More threads than CPUs are slow, and no error."""

    def has_room(self, resources: Resources) -> bool:
        return self._training is None or self._training.ended

    def await_capacity(self, resources: Resources, say: Callable[[str], None]) -> Share:
        return Share(1, resources.cpus or os.cpu_count() or 1, resources.gpus)

    def start(
        self,
        task: TrainingTask,
        checkpoints: RunCheckpoints,
        share: Share,
        max_failures: int,
        on_update: Callable[[ProgressUpdate], None],
    ) -> LocalTraining:
        device = torch.device("cuda" if share.gpus else "cpu")
        self._training = LocalTraining(task, checkpoints, device, on_update)
        return self._training

    def evaluate(
        self, registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, display: Display
    ) -> list[Evaluation]:
        return evaluate_in_process(registry, work, beam, display)

    def close(self) -> None:
        """Nothing was started."""


class LocalTraining:
    """A training in this process. It runs in `poll`, in the thread that calls it, so that a debugger can follow it."""

    rank, size = 0, 1
    fetch: Fetch | None = None

    def __init__(
        self,
        task: TrainingTask,
        checkpoints: RunCheckpoints,
        device: torch.device,
        on_update: Callable[[ProgressUpdate], None],
    ) -> None:
        self.device = device
        self.environment: Environment = {}
        self.ended = False
        self._task, self._checkpoints, self._on_update = task, checkpoints, on_update
        self._error: ContinualMTError | None = None
        self._stop = threading.Event()

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        """Train to the end, or until ``stop`` is set; return True."""
        if self.ended or stop.is_set():
            self.ended = True
            return True
        self._stop = stop
        threads = torch.get_num_threads()
        try:
            # What training does to the process's threads and random numbers ends with it.
            with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
                train_task(self._task, self._checkpoints.newest(self.note), self)
        except ContinualMTError as error:
            self._error = error
        except Exception as error:  # such as a GPU without memory: the driver ends the job as failed
            self._error = TrainingError(
                f"training failed ({type(error).__name__}: {error}); start the same job again and it continues "
                "from its last checkpoint"
            )
            self._error.__cause__ = error
        finally:
            self.ended = True
            torch.set_num_threads(threads)
        return True

    def checkpoint(self) -> Checkpoint:
        if self._error is not None:
            raise self._error
        return self._checkpoints.finished()

    def report_environment(self, environment: Environment) -> None:
        self.environment = environment

    def note(self, text: str) -> None:
        self._on_update(ProgressUpdate(notes=[text], environment=self.environment))

    def report(self, report: ProgressReport) -> None:
        self._on_update(ProgressUpdate(reports=[report], environment=self.environment))

    def stopping(self) -> bool:
        return self._stop.is_set()

    def save(self, trainer: Trainer) -> None:
        self._checkpoints.save(trainer.checkpoint())
