"""What a training and a translation that start now would use: back end, device, precision and threads."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import cast

import torch

from continual_mt.inference import ctranslate2_model
from continual_mt.training.machine import Machine
from continual_mt.training.trainer import computation_dtype
from ray_jobs.diagnosis.service import Service
from registry.records.values import JSONObject

_ON_GPU = "training with resources.gpus=1"


@dataclass(frozen=True)
class Usage:
    """What one kind of work uses. None is decided on the machines of a cluster.

    ``refused`` is why the work cannot start, with the fix; the other values are then None.
    """

    work: str
    back_end: str | None = None
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    refused: str | None = None

    def to_json(self) -> JSONObject:
        return asdict(self)


def usages(machine: Machine, ray: Service) -> list[Usage]:
    """Training with the default resources, on a GPU and without Ray, all in the precision ``auto``; translation."""
    here = _in_process(machine)
    return [*_on_ray(machine, ray, here), *here, _translation()]


def _in_process(machine: Machine) -> list[Usage]:
    """Training in this process, on the CPU and on a GPU."""
    work, back_end, threads = "training with --in-process", "this process", os.cpu_count() or 1
    on_cpu = Usage(work, back_end, "cpu", _precision("cpu"), threads)
    work = f"{work} and resources.gpus=1"
    if machine.missing_gpu:
        return [on_cpu, Usage(work, refused=f"PyTorch finds no GPU: {machine.missing_gpu}")]
    return [on_cpu, Usage(work, back_end, machine.gpus[0].name, _precision("cuda"), threads)]


def _on_ray(machine: Machine, ray: Service, here: list[Usage]) -> list[Usage]:
    """Training on Ray, on CPUs and on a GPU. A cluster that Ray starts on this machine has what the process has."""
    works = "training", _ON_GPU
    if not ray.usable:
        return [Usage(work, refused=ray.problem or f"Ray: {ray.state}") for work in works]
    if ray.place is None:
        back_end = "Ray, started on this machine"
        return [
            replace(one, work=work, back_end=None if one.refused else back_end)
            for work, one in zip(works, here, strict=True)
        ]
    back_end = f"Ray at {ray.place}"
    largest = cast("float | None", ray.facts.get("cpus_of_largest"))
    threads = None if largest is None else max(1, int(largest))
    on_cpu = Usage("training", back_end, "cpu", None, threads)
    if ray.facts.get("gpus") == 0:
        return [on_cpu, Usage(_ON_GPU, refused=f"the cluster at {ray.place} has no GPU. Fix: use another cluster")]
    return [on_cpu, Usage(_ON_GPU, back_end, "GPU", None, threads)]


def _translation() -> Usage:
    """With the back end ``auto``: CTranslate2 if it is installed, else PyTorch, which translates on CPUs."""
    threads = torch.get_num_threads()
    if ctranslate2_model.is_available():
        return Usage("translation", "ctranslate2", ctranslate2_model.engine_device(), "int8", threads)
    return Usage("translation", "torch", "cpu", "float32", threads)


def _precision(device: str) -> str:
    return str(computation_dtype(torch.device(device), "auto")).removeprefix("torch.")
