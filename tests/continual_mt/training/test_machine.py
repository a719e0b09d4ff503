from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from continual_mt.training import machine as machine_module
from continual_mt.training.machine import GPU, VISIBLE_VARIABLE, Machine


@pytest.fixture(autouse=True)
def _not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE_VARIABLE, raising=False)


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return Machine.inspect()


def test_the_machine_is_described_as_this_process_sees_it(without_gpu: Machine) -> None:
    found = without_gpu.to_json()
    assert found["cpus"] == os.cpu_count()
    assert found["usable_cpus"] == len(os.sched_getaffinity(0))
    assert found["threads"] == torch.get_num_threads() == 1
    assert found["cuda"] == torch.version.cuda
    assert found["gpus"] == ()
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    assert 0 < int(str(found["available_bytes"])) <= int(str(found["memory_bytes"])) <= kilobytes * 1024


@pytest.mark.parametrize(("features", "native"), [({"amx_bf16": True}, True), ({"avx512_f": True}, False)])
def test_bfloat16_is_native_where_the_processor_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert Machine.inspect().bfloat16 == native


@pytest.mark.parametrize(
    ("meminfo", "limit", "memory", "available"),
    [
        ("MemTotal: 4000 kB\nMemAvailable: 3000 kB\n", "max\n", 4_096_000, 3_072_000),
        ("MemTotal: 4000 kB\nMemAvailable: 3000 kB\n", "2048000\n", 2_048_000, 2_048_000),
        ("MemTotal: 4000 kB\n", None, 4_096_000, None),
        (None, None, None, None),
    ],
)
def test_memory_is_that_of_the_container(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meminfo: str | None,
    limit: str | None,
    memory: int | None,
    available: int | None,
) -> None:
    for name, text in (("_MEMORY", meminfo), ("_LIMIT", limit)):
        monkeypatch.setattr(machine_module, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    found = Machine.inspect()
    assert (found.memory_bytes, found.available_bytes) == (memory, available)


def test_gpus_are_listed_with_memory_and_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = [
        SimpleNamespace(name="new", total_memory=80_000, major=9, minor=0),
        SimpleNamespace(name="old", total_memory=16_000, major=7, minor=5),
    ]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    monkeypatch.setenv(VISIBLE_VARIABLE, "0,1")
    found = Machine.inspect()
    assert found.gpus == (GPU("new", 80_000, "9.0", True), GPU("old", 16_000, "7.5", False))
    assert (found.missing_gpu, found.problem) == (None, None)


@pytest.mark.parametrize(
    ("cuda", "driver", "variable", "reason"),
    [
        (None, True, None, f"this build of PyTorch ({torch.__version__}) is without CUDA. Fix: install a build with "),
        ("12.8", False, None, "no driver of NVIDIA is loaded on this machine. Fix: install one, or use a machine "),
        ("12.8", True, "-1", "CUDA_VISIBLE_DEVICES=-1 hides every GPU. Fix: unset it"),
        ("12.8", True, "0", "PyTorch was built for CUDA 12.8 and finds no GPU through the driver. Fix: see what "),
    ],
)
def test_why_no_gpu_is_found(
    without_gpu: Machine,
    monkeypatch: pytest.MonkeyPatch,
    cuda: str | None,
    driver: bool,
    variable: str | None,
    reason: str,
) -> None:
    if variable is not None:
        monkeypatch.setenv(VISIBLE_VARIABLE, variable)
    found = replace(without_gpu, cuda=cuda, driver=driver).missing_gpu
    assert found is not None
    assert found.startswith(reason)


def test_gpus_that_the_environment_names_and_nobody_finds_are_a_problem(
    without_gpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert without_gpu.problem is None
    monkeypatch.setenv(VISIBLE_VARIABLE, "-1")
    assert without_gpu.problem is None
    monkeypatch.setenv(VISIBLE_VARIABLE, "0")
    assert replace(without_gpu, cuda="12.8", driver=False).problem == (
        "CUDA_VISIBLE_DEVICES: is 0, but PyTorch finds no GPU: no driver of NVIDIA is loaded on this machine. "
        "Fix: install one, or use a machine with a GPU, or unset the variable"
    )
