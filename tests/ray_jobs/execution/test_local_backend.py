"""Training in the process, without Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.config.spec import AdditionSpec, ParentSpec, Resources, SequenceSpec
from continual_mt.errors import CorpusError, SpecError, StoppedError, TrainingError
from continual_mt.home import Home
from ray_jobs import Driver, Outcome, add, add_sequence
from ray_jobs.execution import local_backend
from ray_jobs.execution.backend import ProgressUpdate, Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.local_backend import LocalBackend
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

Values = dict[str, Any]
NO_RAY = """
import json, sys
from pathlib import Path
import ray_jobs
outcome = ray_jobs.add(json.loads(sys.argv[1]), home=sys.argv[2], in_process=True)
print(outcome.name, "ray" in sys.modules)
"""


@pytest.fixture
def task(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
) -> TrainingTask:
    return make_task(resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path))


def test_ray_is_not_imported(
    home: Path, addition_values: Callable[..., Values], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RAY_ADDRESS, where nothing answers, is ignored."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    command = [sys.executable, "-c", NO_RAY, json.dumps(addition_values("pt-en")), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "es-en/pt-en:1 False\n"), done.stderr


def test_several_workers_are_refused_before_anything_is_written(
    parent_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    spec = parent_spec(resources={"workers": 2})
    with (
        Driver(Home(tmp_path / "home"), in_process=True) as driver,
        pytest.raises(
            SpecError, match=r"resources.workers: 2 workers; training in the process has one\. Fix: set it to 1"
        ),
    ):
        driver.train_parent(spec)
    assert not (tmp_path / "home").exists()


def test_several_workers_of_a_later_addition_are_refused(
    home: Path, sequence_spec: Callable[..., SequenceSpec], addition_values: Callable[..., Values]
) -> None:
    additions = [addition_values("pt-en"), addition_values("es-de", resources={"workers": 2})]
    with Driver(Home(home), in_process=True) as driver:
        with pytest.raises(
            SpecError, match=r"es-de xattn in the process: one problem:\n  - resources\.workers: 2 workers"
        ):
            add_sequence(driver, sequence_spec(additions=additions))
        assert driver.registry.catalog.sequences() == []


def test_a_missing_gpu_is_refused(
    home: Path, addition_values: Callable[..., Values], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match=r"resources.gpus: 1 GPUs, but PyTorch finds no GPU on this machine\. Fix: "):
        add(addition_values("pt-en", resources={"gpus": 1}), home=home, in_process=True)


def test_several_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    LocalBackend().check_resources("parent es-en", Resources(gpus=1))
    with pytest.raises(SpecError) as caught:
        LocalBackend().check_resources("parent es-en", Resources(gpus=2))
    assert str(caught.value) == (
        "parent es-en in the process: one problem:\n"
        "  - resources.gpus: 2 GPUs; training in the process uses one. Fix: set it to 1"
    )


def test_threads_are_those_asked_for_else_one_for_each_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_backend.os, "cpu_count", lambda: 7)
    backend = LocalBackend()
    assert backend.await_capacity(Resources(), print) == Share(1, 7, 0)
    assert backend.await_capacity(Resources(cpus=3), print) == Share(1, 3, 0)


def test_in_process_and_an_address_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="in_process and the address auto exclude each other"):
        Driver(Home(tmp_path), address="auto", in_process=True)


def test_training_leaves_threads_and_random_numbers_as_they_were(task: TrainingTask, tmp_path: Path) -> None:
    torch.manual_seed(7)
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    updates: list[ProgressUpdate] = []
    checkpoints = RunCheckpoints(str(tmp_path / "storage"), "run")
    training = LocalBackend().start(task, checkpoints, Share(1, 1, 0), 0, updates.append)
    assert updates == []
    assert training.poll(threading.Event(), 0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2
    assert training.environment["threads"] == 1
    assert [report.update for update in updates for report in update.reports] == [4, 8]
    assert training.checkpoint().progress.finished


def test_a_stopped_training_continues_where_it_was(task: TrainingTask, tmp_path: Path) -> None:
    backend, stop = LocalBackend(), threading.Event()
    whole, parts = (RunCheckpoints(str(tmp_path / "storage"), name) for name in ("whole", "parts"))
    backend.start(task, whole, Share(1, 1, 0), 0, lambda update: None).poll(stop, 0.0)

    def stop_after_the_first_report(update: ProgressUpdate) -> None:
        if update.reports:
            stop.set()

    training = backend.start(task, parts, Share(1, 1, 0), 0, stop_after_the_first_report)
    assert not backend.has_room(Resources())
    training.poll(stop, 0.0)
    assert backend.has_room(Resources())
    with pytest.raises(StoppedError, match="stopped at update 4; a checkpoint was written"):
        training.checkpoint()
    training = backend.start(task, parts, Share(1, 1, 0), 0, lambda update: None)
    training.poll(threading.Event(), 0.0)
    expected, found = whole.finished(), training.checkpoint()
    assert found.progress == expected.progress
    for name, tensor in expected.best.items():
        assert torch.equal(found.best[name], tensor), name


def test_what_is_stopped_before_it_began_is_not_begun(task: TrainingTask, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    checkpoints = RunCheckpoints(str(tmp_path / "storage"), "run")
    updates: list[ProgressUpdate] = []
    training = LocalBackend().start(task, checkpoints, Share(1, 1, 0), 0, updates.append)
    assert training.poll(stop, 0.0)
    assert updates == []
    with pytest.raises(StoppedError, match="stopped before the first update; start the same job again"):
        training.checkpoint()


def test_what_training_fails_with_is_raised_when_its_result_is_asked_for(
    task: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: Exception) -> Any:
        def train(*given: object) -> None:
            raise error

        monkeypatch.setattr(local_backend, "train_task", train)
        checkpoints = RunCheckpoints(str(tmp_path), "run")
        training = LocalBackend().start(task, checkpoints, Share(1, 1, 0), 0, lambda update: None)
        assert training.poll(threading.Event(), 0.0)
        return training

    with pytest.raises(CorpusError, match=r"train\.pt: not UTF-8"):
        failing(CorpusError("train.pt", "not UTF-8")).checkpoint()
    with pytest.raises(
        TrainingError, match=r"training failed \(RuntimeError: out of memory\); start the same job again"
    ):
        failing(RuntimeError("out of memory")).checkpoint()


def test_a_parent_is_trained(trained_home: tuple[Path, Outcome]) -> None:
    home, outcome = trained_home
    assert outcome.trained_now
    assert list(Home(home).jobs.iterdir()) == []
    assert outcome.record.lineage.environment["workers"] == 1
