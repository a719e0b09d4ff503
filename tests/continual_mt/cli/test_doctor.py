from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from continual_mt.cli.doctor import _machine
from continual_mt.home import DATABASE_VARIABLE, TRACKING_VARIABLE
from continual_mt.training.machine import GPU, VISIBLE_VARIABLE, Machine
from tests.continual_mt.cli.conftest import Run


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE_VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_tables_for_people(run: Run, home: Path) -> None:
    before = {path.name for path in home.rglob("*")}
    result = run("doctor", "--home", home)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line for line in lines if line.endswith(":")] == [
        "machine:",
        "versions:",
        "services:",
        "used by what starts now:",
    ]
    found = {line.split("  ")[0]: line for line in lines}
    assert found["torch"].split() == ["torch", version("torch")]
    assert found["GPUs"].split()[1] == "none:"
    assert found["Ray"].endswith("starts on this machine when a job needs it")
    assert found["database"].split()[1:5] == ["SQLite", str(home / "registry.db"), "usable,", "schema"]
    assert found["training with resources.gpus=1"].split()[-5:] == ["not", "possible", "-", "-", "-"]
    assert found["training"].split()[-3::2] == ["cpu", str(os.cpu_count())]
    assert lines[-1].startswith("not possible: PyTorch finds no GPU: ")
    assert {path.name for path in home.rglob("*")} - before <= {"registry.db-wal", "registry.db-shm"}


def test_json_for_programs(run: Run, tmp_path: Path) -> None:
    """A home that does not exist yet is no problem, and is not made."""
    result = run("doctor", "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["home"] == {"path": str(tmp_path / "continual-mt-home"), "exists": False}
    assert found["machine"]["gpus"] == []
    assert found["services"]["database"]["state"] == "does not exist yet; 'parent train' makes it"
    assert [usage["work"] for usage in found["used"] if usage["refused"] is None] == [
        "training",
        "training with --in-process",
        "translation",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_is_configured_and_cannot_be_used_exits_1_without_credentials(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql+psycopg://me:s3cret@127.0.0.1:1/registry")
    monkeypatch.setenv(TRACKING_VARIABLE, "http://me:s3cret@127.0.0.1:1")
    result = run("doctor", *words)
    assert result.code == 1
    assert "s3cret" not in result.out + result.err
    if words:
        assert result.err == ""
        problems = json.loads(result.out)["problems"]
    else:
        problems = [line.removeprefix("problem: ") for line in result.err.splitlines()]
    assert [problem.partition(":")[0] for problem in problems] == ["MLflow", "database"]
    assert "Fix: check MLFLOW_TRACKING_URI, and that it runs" in problems[0]
    assert "check the host and the port in the URL" in problems[1]


def test_a_cluster_that_is_down_is_a_problem(run: Run) -> None:
    result = run("doctor", "--address", "127.0.0.1:1")
    assert result.code == 1
    assert result.err.startswith("problem: Ray: no Ray cluster answers at 127.0.0.1:1 (")


def test_a_home_that_is_a_file_is_misuse(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    result = run("doctor", "--home", tmp_path / "home")
    assert (result.code, result.out) == (2, "")
    assert "home: is a file; expected the home folder" in result.err


def test_a_gpu_is_shown_with_memory_and_capability() -> None:
    machine = Machine(
        system="Linux",
        processor="CPU",
        cpus=8,
        usable_cpus=4,
        threads=4,
        bfloat16=True,
        memory_bytes=64 * 10**9,
        available_bytes=None,
        cuda="12.8",
        driver=True,
        gpus=(GPU("H", 80 * 10**9, "9.0", True), GPU("T", 16 * 10**9, "7.5", False)),
    )
    assert list(_machine(machine)) == [
        ("system", "Linux"),
        ("processor", "CPU"),
        ("CPUs", "8, of which this process may use 4; threads of PyTorch 4"),
        ("bfloat16 products on the CPU", "native"),
        ("memory", "64.0 GB, available unknown"),
        ("CUDA of PyTorch", "12.8"),
        ("GPU 0", "H, 80.0 GB, compute capability 9.0, bfloat16 native"),
        ("GPU 1", "T, 16.0 GB, compute capability 7.5, bfloat16 not native"),
    ]
