"""The function that runs on each Ray Train worker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ray.train
from ray.train.torch import get_device

from continual_mt.data.tokenized_corpus import Fetch
from continual_mt.errors import ContinualMTError
from continual_mt.training.environment import Environment
from continual_mt.training.progress import ProgressReport
from continual_mt.training.trainer import Trainer
from ray_jobs.cluster.machine_cache import usable_folder
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.cluster.text_transfer import TextReceiver
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.train_task import train_task
from ray_jobs.planning.training_task import TrainingTask


def run_worker(arguments: dict[Any, Any]) -> None:
    """Carry out the ``task`` in ``arguments``, with its ``checkpoints``, and report to its ``channel``.

    An error that another try would meet again goes through the channel, and the driver raises it: a single worker just
    ends; of several, Ray ends all, since they wait for each other, and the retries end at once. Any other error is left
    to Ray, which replaces the workers.
    """
    task, checkpoints, channel = arguments["task"], arguments["checkpoints"], arguments["channel"]
    assert isinstance(task, TrainingTask)
    assert isinstance(checkpoints, RunCheckpoints)
    assert isinstance(channel, Channel)
    if channel.failed():
        return
    worker = _RayWorker(channel, TextReceiver(checkpoints, channel).fetch)
    try:
        # Not Ray's own: a training in the driver's process may have gone further. Every worker finds the same one, as
        # none can write another before all of them take part in the first update.
        train_task(task.keeping_in(usable_folder), checkpoints.newest(worker.note), worker)
    except ContinualMTError as error:
        channel.fail(error)
        if worker.size > 1:
            raise


class _RayWorker:
    def __init__(self, channel: Channel, fetch: Fetch) -> None:
        self.fetch: Fetch | None = fetch
        context = ray.train.get_context()
        self.rank, self.size, self.device = context.get_world_rank(), context.get_world_size(), get_device()
        self._channel = channel if self.rank == 0 else None

    def report_environment(self, environment: Environment) -> None:
        if self._channel:
            self._channel.report_environment(environment)

    def note(self, text: str) -> None:
        if self._channel:
            self._channel.note(text)

    def report(self, report: ProgressReport) -> None:
        if self._channel:
            self._channel.report(report)

    def stopping(self) -> bool:
        return self._channel is not None and self._channel.stopping()

    def save(self, trainer: Trainer) -> None:
        """Every worker reports to Ray; only the first one's report carries the checkpoint."""
        state = trainer.checkpoint()
        metrics = {"update": trainer.progress.update, "finished": trainer.progress.finished}
        if self.rank != 0:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            state.save(Path(folder))
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
