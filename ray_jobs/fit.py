"""One training run on Ray Train, watched by the driver: reports come in, a signal to stop goes out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType

import ray.exceptions
import ray.train
from ray.train.torch import TorchTrainer

from continual_mt.checkpoint import Checkpoint
from continual_mt.errors import ClusterError, StoppedError, TrainingError
from ray_jobs.channel import Channel, News
from ray_jobs.cluster import Share
from ray_jobs.order import WorkOrder
from ray_jobs.worker import run_worker

POLL_SECONDS = 0.5

# glibc gives large blocks back to the system and asks for them anew at every update; with these it keeps them. OpenMP's
# threads spin while they wait for each other, which slows training down where anything else runs besides; after a while
# they had better sleep. Elsewhere these variables mean nothing.
WORKER_ENVIRONMENT = {
    "GOMP_SPINCOUNT": "10000",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


def fit(
    order: WorkOrder, *, job: str, storage: str, share: Share, max_failures: int, heard: Callable[[News], None]
) -> Checkpoint:
    """Train, or go on training, the run ``job`` under ``storage``; its last checkpoint holds the best parameters.

    A lost worker is replaced up to ``max_failures`` times. SIGINT and SIGTERM end the run after a checkpoint. Raises
    StoppedError then, the worker's own error when another try would meet it again, and TrainingError when Ray gave up.
    """
    channel = Channel.open()
    trainer = TorchTrainer(
        run_worker,
        train_loop_config={"order": order, "channel": channel},
        scaling_config=ray.train.ScalingConfig(
            num_workers=share.workers, use_gpu=share.gpus > 0, resources_per_worker=share.bundle()
        ),
        run_config=ray.train.RunConfig(
            name=job,
            storage_path=storage,
            worker_runtime_env={"env_vars": WORKER_ENVIRONMENT},  # type: ignore[call-arg]  # Ray's annotations are of V1
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    outcome = _Outcome()
    # In a thread, so that signals reach the driver's own handler and not Ray's, which would abort without a checkpoint.
    thread = threading.Thread(target=outcome.run, args=(trainer,), daemon=True, name=f"fit {job}")
    # Ray tells of lost workers on standard output, which is left to what was asked for.
    with _signals() as stop, redirect_stdout(sys.stderr), _lost_cluster():
        thread.start()
        told = False
        while thread.is_alive():
            if stop.is_set() and not told:
                channel.stop()
                told = True
            thread.join(POLL_SECONDS)
            heard(channel.news())
    news = channel.news()
    heard(news)
    if news.error is not None:
        raise news.error
    checkpoint = outcome.checkpoint()
    if not checkpoint.progress.finished:
        raise StoppedError(
            f"stopped at update {checkpoint.progress.update}; a checkpoint was written: "
            "start the same job again and it goes on from there"
        )
    return checkpoint


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

    def run(self, trainer: TorchTrainer) -> None:
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
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the second signal acts as it did before. Off the main thread, never set."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
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
        yield event
    finally:
        restore()
