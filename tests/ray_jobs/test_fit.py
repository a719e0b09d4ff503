from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import TrainingError
from continual_mt.spec import AdditionSpec
from ray_jobs.channel import News
from ray_jobs.cluster import Share
from ray_jobs.fit import fit
from ray_jobs.order import WorkOrder
from ray_jobs.resolve import ResolvedJob, resolve
from registry import Registry

pytestmark = pytest.mark.slow


def test_an_error_that_another_try_would_meet_ends_the_run_and_is_raised_as_it_is(
    ray_cluster: Any,
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    order: Callable[[ResolvedJob], WorkOrder],
    tmp_path: Path,
) -> None:
    made = order(resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path))
    # No spec gets this far with it: two workers cannot share one batch.
    made = dataclasses.replace(made, settings=made.settings.model_copy(update={"accumulate": 1}))
    heard: list[News] = []
    with pytest.raises(TrainingError, match=r"accumulate \(1\) is not a multiple of the workers \(2\)"):
        fit(
            made,
            job="addition-pt-en-1",
            storage=str(tmp_path / "storage"),
            share=Share(2, 1, 0),
            max_failures=3,
            heard=heard.append,
        )
    notes = [note for news in heard for note in news.notes]
    assert sum("starts" in note for note in notes) == 1
