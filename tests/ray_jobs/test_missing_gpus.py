"""``resources.gpus`` without a GPU is refused before text is read, on both back ends, from Python and in programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml

from continual_mt.config.spec import ParentSpec, SequenceSpec
from continual_mt.errors import SpecError
from continual_mt.home import Home
from ray_jobs import Driver, add, add_sequence
from ray_jobs.cluster import connection
from registry import Registry
from tests.ray_jobs.heads import started_head
from tests.ray_jobs.programs import Values

GPU = {"resources": {"gpus": 1}}
REASON = (
    "one problem:\n  - resources.gpus: 1 GPUs, but PyTorch finds no GPU on this machine. Fix: set it to 0, or train on "
    "a cluster that has one; 'continual-mt doctor' shows why none is found"
)
either_back_end = pytest.mark.parametrize(
    ("in_process", "where"), [(True, "in the process"), (False, "with Ray on this machine")]
)


@pytest.fixture(autouse=True)
def _no_gpu_and_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # other tests may have connected this process


@pytest.fixture
def unread(addition_values: Callable[..., Values], tmp_path: Path) -> Values:
    """An addition on a GPU whose text is not UTF-8, which an attempt to read it would report."""
    values = addition_values("pt-en", GPU)
    (tmp_path / "text").write_bytes(b"\xff\n")
    return values | {"train": values["train"] | {"source": str(tmp_path / "text")}}


@either_back_end
def test_an_addition_is_refused_from_python(home: Path, unread: Values, in_process: bool, where: str) -> None:
    with pytest.raises(SpecError) as caught:
        add(unread, home=home, in_process=in_process)
    assert str(caught.value) == f"pt-en xattn {where}: {REASON}"
    assert not ray.is_initialized()


@either_back_end
def test_a_parent_is_refused_before_its_home_is_made(
    parent_spec: Callable[..., ParentSpec], tmp_path: Path, in_process: bool, where: str
) -> None:
    with (
        Driver(Home(tmp_path / "home"), in_process=in_process) as driver,
        pytest.raises(SpecError) as caught,
    ):
        driver.train_parent(parent_spec(GPU))
    assert str(caught.value) == f"parent es-en {where}: {REASON}"
    assert not (tmp_path / "home").exists()


@either_back_end
def test_a_sequence_is_refused_as_a_whole(
    home: Path,
    sequence_spec: Callable[..., SequenceSpec],
    addition_values: Callable[..., Values],
    in_process: bool,
    where: str,
) -> None:
    additions = [addition_values("pt-en"), addition_values("es-de", GPU)]
    with Driver(Home(home), in_process=in_process) as driver:
        with pytest.raises(SpecError) as caught:
            add_sequence(driver, sequence_spec(additions=additions))
        assert str(caught.value) == f"es-de xattn {where}: {REASON}"
        assert driver.registry.catalog.sequences() == []
        assert driver.registry.modules() == []


@pytest.mark.parametrize(
    ("program", "flags", "where"),
    [
        ("continual_mt.cli.main add --spec", ["--in-process"], "in the process"),
        ("ray_jobs.add_language", [], "with Ray on this machine"),
    ],
)
def test_the_programs_exit_2(
    home: Path, unread: Values, tmp_path: Path, program: str, flags: list[str], where: str
) -> None:
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(unread), encoding="utf-8")
    command = [sys.executable, "-m", *program.split(), str(tmp_path / "spec.yaml"), "--home", str(home), *flags]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: pt-en xattn {where}: {REASON}\n")


def test_a_cluster_is_not_refused_before_it_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.starts_here(None)
    assert connection.starts_here("local")
    assert not connection.starts_here("auto")
    monkeypatch.setenv("RAY_ADDRESS", "host:6379")
    assert not connection.starts_here(None)
    assert connection.starts_here("local")


@pytest.mark.slow
def test_a_gpu_of_the_cluster_that_pytorch_does_not_find_is_refused(
    ray_program: Path,
    free_port: Callable[[], int],
    home: Path,
    addition_values: Callable[..., Values],
    start: Any,
) -> None:
    """Ray was started with a GPU that the machine does not have."""
    with started_head(ray_program, free_port(), free_port(), gpus=1) as head:
        program = start("add_language", addition_values("pt-en", GPU), home, environment={"RAY_ADDRESS": head.address})
        assert program.exit_code() == 1
    assert program.messages.splitlines()[-1] == (
        f"error: resources.gpus: Ray gives a worker 1 GPUs, but the PyTorch of that machine ({torch.__version__}) "
        "finds none; expected a build with CUDA and a driver. Fix: install them there, or set resources.gpus to 0"
    )
    with Registry.open(home) as registry:
        assert registry.modules() == []
