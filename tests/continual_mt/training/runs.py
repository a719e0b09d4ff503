"""Helpers that run, stop and kill a training, and compare its checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint, Progress
from continual_mt.training.pair_loss import token_loss
from continual_mt.training.pair_task import Task
from continual_mt.training.progress import ProgressReport
from continual_mt.training.trainer import Trainer, train


class KilledError(Exception):
    """Simulates a killed process: training ends without saving."""


def negative_loss(task: Task) -> Callable[[Transformer], float]:
    """Return a cheap development score that depends on every parameter."""
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    batch = make_batch(task.corpus, indices, task.source, task.target)

    def score(model: Transformer) -> float:
        assert not model.training
        with torch.inference_mode():
            return -float(token_loss(model, batch, 0.0))

    return score


def run(
    task: Task,
    folder: Path | None = None,
    development: Callable[[Transformer], float] | None = None,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[ProgressReport], None] = lambda report: None,
) -> Progress:
    """Train, resuming from the checkpoint in ``folder`` if there is one; checkpoints are saved to ``folder``."""

    def save(trainer: Trainer) -> None:
        if folder is not None:
            folder.mkdir(exist_ok=True)
            trainer.checkpoint().save(folder)

    return train(
        task,
        checkpoint=Checkpoint.load(folder) if folder is not None and folder.exists() else None,
        development=development or negative_loss(task),
        save=save,
        report=report,
        stop=stop,
    )


def stop_at(update: int, raised: type[Exception] | None = None) -> Callable[[], bool]:
    """Return a ``stop`` callback that returns True, or raises ``raised``, at its ``update``-th call."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        if calls == update and raised is not None:
            raise raised
        return calls == update

    return stop


def assert_bit_equal(found: Path, expected: Path) -> None:
    """Compare whole checkpoints, including the states of the random number generators."""
    left, right = Checkpoint.load(found), Checkpoint.load(expected)
    assert left.progress == right.progress
    for kind in ("trained", "best", "optimizer", "generators"):
        assert set(getattr(left, kind)) == set(getattr(right, kind))
        for name, tensor in getattr(right, kind).items():
            assert torch.equal(getattr(left, kind)[name], tensor), f"{kind} of {name}"
