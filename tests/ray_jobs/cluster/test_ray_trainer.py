from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import CorpusError
from ray_jobs.cluster.connection import Share
from ray_jobs.cluster.progress_actor import ProgressUpdate
from ray_jobs.cluster.ray_trainer import Training, TrainingMonitor
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

pytestmark = pytest.mark.slow


def test_an_error_that_another_try_would_meet_ends_the_run_and_is_raised_as_it_is(
    ray_cluster: Any,
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    order: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
) -> None:
    spec = addition_spec("pt-en")
    made = order(resolve(spec, registry.parent("es-en"), tmp_path))
    # Gone since the spec was read.
    gone = spec.dev.model_copy(update={"source": tmp_path / "gone.pt"})
    heard: list[ProgressUpdate] = []
    training = Training(
        dataclasses.replace(made, dev=gone),
        name="addition-pt-en-1",
        storage=str(tmp_path / "storage"),
        share=Share(1, 1, 0),
        max_failures=3,
        heard=heard.append,
    )
    watch = TrainingMonitor()
    while not watch.ended([training]):
        pass
    with pytest.raises(CorpusError, match=r"gone\.pt"):
        training.checkpoint()
    assert training.has_workers
    assert not watch.stopping
    notes = [note for news in heard for note in news.notes]
    assert sum("starts" in note for note in notes) == 1
