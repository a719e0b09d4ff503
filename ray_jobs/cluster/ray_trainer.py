"""Training runs on Ray Train, heard by the driver: reports come in, a signal to stop goes out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import ray.exceptions
import ray.train

from continual_mt.errors import ClusterError, ContinualMTError, StoppedError, TrainingError
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.environment import Environment
from ray_jobs.cluster.connection import Share
from ray_jobs.cluster.progress_actor import Channel, ProgressUpdate
from ray_jobs.cluster.ray_internals import LeanTrainer
from ray_jobs.cluster.worker import run_worker
from ray_jobs.planning.training_task import TrainingTask

POLL_SECONDS = 0.5

# glibc gives large blocks back to the system and asks for them anew at every update; with these it keeps them. OpenMP's
# threads spin while they wait for each other, which slows training down where anything else runs besides; when that is
# longer than the gap between two operations they had better sleep. Elsewhere these variables mean nothing.
WORKER_ENVIRONMENT = {
    "GOMP_SPINCOUNT": "100000",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


class Training:
    """The run ``name`` under ``storage``, begun or gone on with as this is made, under way in a thread of its own.

    A lost worker is replaced up to ``max_failures`` times. `TrainingMonitor` asks for what the run reports.
    """

    def __init__(
        self,
        order: TrainingTask,
        *,
        name: str,
        storage: str,
        share: Share,
        max_failures: int,
        heard: Callable[[ProgressUpdate], None],
    ) -> None:
        self.share = share
        self.has_workers = False
        """Whether its workers were heard of, so that what they take is no longer free."""
        self.environment: Environment = {}
        """What its workers compute in, once they were heard of."""
        self._heard = heard
        self._told = False
        self._error: ContinualMTError | None = None
        self._channel = Channel.open()
        self._outcome = _Outcome()
        trainer = LeanTrainer(
            run_worker,
            train_loop_config={"order": order, "channel": self._channel},
            scaling_config=ray.train.ScalingConfig(
                num_workers=share.workers, use_gpu=share.gpus > 0, resources_per_worker=share.bundle()
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=storage,
                worker_runtime_env={"env_vars": WORKER_ENVIRONMENT},  # type: ignore[call-arg]  # Ray's annotations are of V1
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            ),
        )
        # In a thread, so that signals reach the driver's own handler and not Ray's, which would abort without a
        # checkpoint.
        self._thread = threading.Thread(target=self._outcome.run, args=(trainer,), daemon=True, name=f"fit {name}")
        self._thread.start()

    def ended(self, seconds: float = 0.0) -> bool:
        """Whether the run has ended, or does within some seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Let the run end after a checkpoint."""
        if not self._told:
            self._channel.stop()
            self._told = True

    def listen(self) -> None:
        """Pass on what the run said since it was last asked."""
        news = self._channel.news()
        self.has_workers = self.has_workers or bool(news.notes)
        self._error = news.error
        self.environment = news.environment
        self._heard(news)

    def checkpoint(self) -> Checkpoint:
        """What the run left, once it has ended and was listened to; it holds the best parameters.

        Raises StoppedError when the run was stopped, the worker's own error when another try would meet it again, and
        TrainingError when Ray gave up.
        """
        if self._error is not None:
            raise self._error
        checkpoint = self._outcome.checkpoint()
        if not checkpoint.progress.finished:
            raise StoppedError(
                f"stopped at update {checkpoint.progress.update}; a checkpoint was written: "
                "start the same job again and it goes on from there"
            )
        return checkpoint


class TrainingMonitor:
    """Hears what several trainings say, in one thread. While it does, SIGINT and SIGTERM stop all of them."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def ended(self, running: Collection[Training]) -> list[Training]:
        """Those that have ended, after half a second at most. Raises ClusterError when the cluster was lost."""
        with _signals(self._stop), _lost_cluster():
            next(iter(running)).ended(POLL_SECONDS)
            if self.stopping:
                for training in running:
                    training.stop()
            ended = [training for training in running if training.ended()]
            for training in running:
                training.listen()
        return ended


@contextmanager
def _lost_cluster() -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the cluster was lost in mid-training ({error}); start the same job again and it goes on from its last "
            "checkpoint"
        ) from error


class _Outcome:
    """What the fitting thread leaves behind."""

    def __init__(self) -> None:
        self._result: ray.train.Result | None = None
        self._error: BaseException | None = None

    def run(self, trainer: LeanTrainer) -> None:
        try:
            self._result = trainer.fit()
        except BaseException as error:  # kept for the main thread, which raises it
            self._error = error

    def checkpoint(self) -> Checkpoint:
        if self._result is None:
            raise TrainingError(
                f"Ray gave the training up: {self._error}; start the same job again and it goes on from its last "
                "checkpoint, or allow more with resources.max_failures"
            ) from self._error
        if self._result.checkpoint is None:
            raise StoppedError("stopped before the first update; start the same job again")
        with self._result.checkpoint.as_directory() as folder:
            return Checkpoint.load(Path(folder))


@contextmanager
def _signals(event: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set the event; the second signal acts as it did before. Off the main thread nothing does."""
    if event.is_set() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
