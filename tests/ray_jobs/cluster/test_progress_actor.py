from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
import ray

from continual_mt.errors import CorpusError, TrainingError
from continual_mt.training.progress import ProgressReport
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.execution.backend import ProgressUpdate

pytestmark = pytest.mark.slow

REPORT = ProgressReport(update=20, epoch=0, loss=5.5, learning_rate=0.1, tokens_per_second=1000.0)


def work(arguments: dict[str, Channel]) -> None:
    """What a worker reports."""
    channel = arguments["channel"]
    channel.report(REPORT)
    channel.report_environment({"torch": "2.0", "threads": 2})
    channel.note("first")
    channel.note("second")
    channel.fail(CorpusError("train.pt", "not UTF-8", 7))
    channel.fail(TrainingError("only the first error counts"))


def test_a_worker_reports_to_the_driver(ray_cluster: Any) -> None:
    channel = Channel.open()
    assert channel.take_update() == ProgressUpdate()
    assert not channel.failed()
    # The worker process gets this function by value: it has no way to import a test.
    ray.get(ray.remote(work).options(num_cpus=0).remote({"channel": channel}))
    update = channel.take_update()
    assert update.reports == [REPORT]
    assert update.notes == ["first", "second"]
    assert update.environment == {"torch": "2.0", "threads": 2}
    assert isinstance(update.error, CorpusError)
    assert (str(update.error), update.error.line) == ("train.pt, line 7: not UTF-8", 7)
    assert channel.failed()
    again = channel.take_update()
    assert (again.reports, again.notes) == ([], [])
    assert isinstance(again.error, CorpusError)


def test_the_driver_asks_a_worker_to_stop(ray_cluster: Any) -> None:
    channel = Channel.open()
    # Answers that arrive in the meantime are the same.
    for _ in range(3):
        assert not channel.stopping()
        if channel._question is not None:  # else it was answered at once
            ray.wait([channel._question])
    channel.stop()
    deadline = time.monotonic() + 300
    while not channel.stopping():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert channel.stopping()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("ray_jobs.cluster.progress_actor", {"torch", "sqlalchemy"}),
        ("ray_jobs.cluster.worker", {"sqlalchemy", "mlflow"}),
    ],
)
def test_processes_that_every_training_starts_import_no_more_than_they_need(module: str, heavy: set[str]) -> None:
    program = f"import {module}, sys; assert not sys.modules.keys() & {heavy}"
    subprocess.run([sys.executable, "-c", program], check=True)
