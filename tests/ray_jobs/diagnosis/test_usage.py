from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from continual_mt.inference import ctranslate2_model
from continual_mt.training.machine import GPU, Machine
from ray_jobs.diagnosis.service import Service
from ray_jobs.diagnosis.usage import Usage, usages

CPUS = os.cpu_count()
HERE = Service("Ray", "this machine", None, "starts on this machine when a job needs it")
WORKS = [
    "training",
    "training with resources.gpus=1",
    "training with --in-process",
    "training with --in-process and resources.gpus=1",
    "translation",
]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Without a GPU."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    return replace(Machine.inspect(), cuda="12.8", driver=False, gpus=())


@pytest.fixture
def with_gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    return replace(machine, gpus=(GPU("new", 80_000, "9.0", True),))


def test_without_a_gpu_a_training_on_one_is_not_possible(machine: Machine) -> None:
    found = usages(machine, HERE)
    refused = (
        "PyTorch finds no GPU: no driver of NVIDIA is loaded on this machine. "
        "Fix: install one, or use a machine with a GPU"
    )
    assert [usage.work for usage in found] == WORKS
    assert found[:4] == [
        Usage(WORKS[0], "Ray, started on this machine", "cpu", "float32", CPUS),
        Usage(WORKS[1], refused=refused),
        Usage(WORKS[2], "this process", "cpu", "float32", CPUS),
        Usage(WORKS[3], refused=refused),
    ]


def test_a_gpu_is_used_where_it_is_asked_for(with_gpu: Machine) -> None:
    found = usages(with_gpu, HERE)
    assert found[0].device == "cpu"
    assert found[1] == Usage(WORKS[1], "Ray, started on this machine", "new", "bfloat16", CPUS)
    assert found[3] == Usage(WORKS[3], "this process", "new", "bfloat16", CPUS)


def test_what_a_cluster_decides_is_left_open(machine: Machine) -> None:
    cluster = Service("Ray", "cluster", "host:1", "reachable", facts={"gpus": 2.0, "cpus_of_largest": 16.0})
    assert usages(machine, cluster)[:2] == [
        Usage(WORKS[0], "Ray at host:1", "cpu", None, 16),
        Usage(WORKS[1], "Ray at host:1", "GPU", None, 16),
    ]
    jobs_api = Service("Ray", "jobs API", "http://host:8265", "takes jobs")
    assert usages(machine, jobs_api)[0] == Usage(WORKS[0], "Ray at http://host:8265", "cpu", None, None)
    small = replace(cluster, facts={"gpus": 0.0, "cpus_of_largest": 4.0})
    assert usages(machine, small)[1].refused == "the cluster at host:1 has no GPU. Fix: use another cluster"


def test_without_ray_only_this_process_trains(machine: Machine) -> None:
    absent = Service("Ray", "this machine", None, "not installed: train with --in-process", usable=False)
    found = usages(machine, absent)
    assert {usage.refused for usage in found[:2]} == {"Ray: not installed: train with --in-process"}
    assert found[2].refused is None
    down = Service.unusable("Ray", "cluster", "host:1", "no answer. Fix: check it")
    assert usages(machine, down)[0].refused == "Ray: no answer. Fix: check it"


def test_translation_uses_the_back_end_that_is_installed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    device = ctranslate2_model.engine_device()
    assert usages(machine, HERE)[-1] == Usage("translation", "ctranslate2", device, "int8", 1)
    monkeypatch.setattr(ctranslate2_model, "is_available", lambda: False)
    assert usages(machine, HERE)[-1] == Usage("translation", "torch", "cpu", "float32", 1)
