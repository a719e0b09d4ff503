from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import CorpusError
from ray_jobs.cluster.ray_trainer import RayTraining
from ray_jobs.execution.backend import ProgressUpdate, Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.scheduler import TrainingMonitor
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

pytestmark = pytest.mark.slow


def test_an_error_that_another_try_would_meet_ends_the_run_and_is_raised_as_it_is(
    ray_cluster: Any,
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
) -> None:
    """The worker cannot read its text, and asks the driver, which cannot either."""
    spec = addition_spec("pt-en")
    made = make_task(resolve(spec, registry.parent("es-en"), tmp_path))
    # Gone since the spec was read.
    gone = spec.train.model_copy(update={"source": tmp_path / "gone.pt"})
    updates: list[ProgressUpdate] = []
    training = RayTraining(
        dataclasses.replace(made, text=dataclasses.replace(made.text, spec=gone)),
        RunCheckpoints(str(tmp_path / "storage"), "addition-pt-en-1"),
        Share(1, 1, 0),
        max_failures=3,
        on_update=updates.append,
    )
    monitor = TrainingMonitor()
    while not monitor.ended([training]):
        pass
    with pytest.raises(CorpusError, match=r"gone\.pt: no such file"):
        training.checkpoint()
    assert training.has_workers
    assert not monitor.stopping
    notes = [note for update in updates for note in update.notes]
    assert sum("starts" in note for note in notes) == 1
