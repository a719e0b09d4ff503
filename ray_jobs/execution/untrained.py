"""The addition of no updates, which is registered as it starts."""

from __future__ import annotations

import threading

import torch

from continual_mt.training.checkpoint import Checkpoint, Progress
from continual_mt.training.environment import environment
from ray_jobs.planning.training_task import TrainingTask


class Untrained:
    """A `RunningTraining` of no updates: the result is what training would start from, in this process and at once."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self.environment = environment(torch.device("cpu"), torch.float32, 1)

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        return True

    def checkpoint(self) -> Checkpoint:
        trained = set(self._task.names(self._task.trained))
        best = {name: tensor for name, tensor in self._task.starting_tensors().items() if name in trained}
        return Checkpoint(Progress(finished=True), {}, best, {}, {})
