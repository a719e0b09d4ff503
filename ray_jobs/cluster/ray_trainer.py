"""A training run on Ray Train, in a background thread of the driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray.exceptions
import ray.train
from ray.train.torch import TorchConfig

from continual_mt.errors import ClusterError, ContinualMTError, TrainingError
from continual_mt.threads import PASSIVE
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.environment import Environment
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.cluster.ray_internals import LeanTrainer
from ray_jobs.cluster.text_transfer import TextSender
from ray_jobs.cluster.worker import run_worker
from ray_jobs.execution.backend import ProgressUpdate, Share
from ray_jobs.execution.checkpoints import KEPT, RunCheckpoints
from ray_jobs.planning.training_task import TrainingTask

# glibc returns large blocks to the system and requests them again at every update; with these settings it keeps them.
# A worker on a cluster may import PyTorch before this project, so how OpenMP's threads wait is set here, too. Other
# platforms ignore these variables.
WORKER_ENVIRONMENT = {
    **PASSIVE,
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


class RayTraining:
    """A run on Ray Train, started or resumed as this is made. Ray replaces up to ``max_failures`` lost workers."""

    def __init__(
        self,
        task: TrainingTask,
        checkpoints: RunCheckpoints,
        share: Share,
        max_failures: int,
        on_update: Callable[[ProgressUpdate], None],
    ) -> None:
        self.share = share
        self.has_workers = False
        """Whether its workers have reported, so that what they use is no longer free."""
        self.environment: Environment = {}
        self._checkpoints, self._on_update = checkpoints, on_update
        self._stop_sent = False
        self._error: ContinualMTError | None = None
        self._failure: BaseException | None = None
        self._channel = Channel.open()
        self._texts = TextSender(task, checkpoints, self._channel)
        trainer = LeanTrainer(
            run_worker,
            # NCCL refuses two processes on one GPU, which workers with a part of one may be.
            torch_config=TorchConfig(backend="nccl" if share.gpus >= 1 else "gloo"),
            train_loop_config={"task": task, "checkpoints": checkpoints, "channel": self._channel},
            scaling_config=ray.train.ScalingConfig(
                num_workers=share.workers, use_gpu=share.gpus > 0, resources_per_worker=share.bundle()
            ),
            run_config=ray.train.RunConfig(
                name=checkpoints.name,
                storage_path=checkpoints.storage,
                worker_runtime_env={"env_vars": WORKER_ENVIRONMENT},  # type: ignore[call-arg]  # Ray's annotations are of V1
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=KEPT),
            ),
        )
        # In a thread, so that signals reach the driver's own handler and not Ray's, which would abort without a
        # checkpoint.
        self._thread = threading.Thread(target=self._fit, args=(trainer,), daemon=True, name=f"fit {checkpoints.name}")
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        """Wait ``seconds`` at most for the end, pass on progress, and return whether the run has ended."""
        with _lost_cluster():
            self._thread.join(seconds)
            if stop.is_set() and not self._stop_sent:
                self._channel.stop()
                self._stop_sent = True
            ended = self.ended  # before the last update is taken, so that none is missed
            update = self._channel.take_update()
        self.has_workers = self.has_workers or bool(update.notes)
        self._error, self.environment = update.error, update.environment
        self._texts.send(update.wanted)
        self._on_update(update)
        return ended

    def checkpoint(self) -> Checkpoint:
        if self._error is not None:
            raise self._error
        if self._failure is not None:
            raise TrainingError(
                f"Ray ended the training: {self._failure}. Fix: start the same job again, which continues from its "
                "last checkpoint, or allow more failures with resources.max_failures"
            ) from self._failure
        checkpoint = self._checkpoints.finished()
        self._texts.delete()
        return checkpoint

    def _fit(self, trainer: LeanTrainer) -> None:
        try:
            trainer.fit()
        except BaseException as error:  # kept for the main thread, which raises it
            self._failure = error


@contextmanager
def _lost_cluster() -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the cluster was lost during training ({error}); start the same job again and it continues from its last "
            "checkpoint"
        ) from error
