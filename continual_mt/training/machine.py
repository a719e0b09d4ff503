"""What this machine offers to a training or a translation: processors, memory and GPUs."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from continual_mt.training.environment import processor
from continual_mt.training.trainer import computation_dtype

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
_MEMORY = Path("/proc/meminfo")
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_DRIVER = Path("/proc/driver/nvidia/version")
_HIDDEN = ("", "-1", "none", "void", "NoDevFiles")
"""Values of the variable that hide all GPUs on purpose."""


@dataclass(frozen=True)
class GPU:
    """A GPU that PyTorch can use. From capability 8.0 on it multiplies in bfloat16 itself."""

    name: str
    memory_bytes: int
    compute_capability: str
    bfloat16: bool


@dataclass(frozen=True)
class Machine:
    """This machine as a process sees it.

    ``usable_cpus`` are those that this process may run on, of ``cpus``. ``threads`` is PyTorch's default in this
    process. ``memory_bytes`` is all memory, or the limit of the container if that is lower; None if it is unknown.
    ``cuda`` is the version of CUDA that PyTorch was built for, None for a build without. ``driver`` is whether a driver
    of NVIDIA is loaded, with or without PyTorch.
    """

    system: str
    processor: str
    cpus: int
    usable_cpus: int
    threads: int
    bfloat16: bool
    memory_bytes: int | None
    available_bytes: int | None
    cuda: str | None
    driver: bool
    gpus: tuple[GPU, ...]

    @classmethod
    def inspect(cls) -> Machine:
        """Ask the system and PyTorch. Nothing is computed."""
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        total, available = _memory()
        return cls(
            system=platform.platform(),
            processor=processor(),
            cpus=os.cpu_count() or 1,
            usable_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            threads=torch.get_num_threads(),
            bfloat16=computation_dtype(torch.device("cpu"), "auto") is torch.bfloat16,
            memory_bytes=total,
            available_bytes=available,
            cuda=torch.version.cuda,
            driver=_DRIVER.exists(),
            gpus=tuple(map(_gpu, range(count))),
        )

    @property
    def missing_gpu(self) -> str | None:
        """Why PyTorch finds no GPU, with the fix; None if it finds one."""
        if self.gpus:
            return None
        if self.cuda is None:
            build = f"this build of PyTorch ({torch.__version__}) is without CUDA"
            return f"{build}. Fix: install a build with CUDA, as 'Install' in the documentation describes"
        hidden = os.environ.get(VISIBLE_VARIABLE)
        if hidden is not None and hidden.strip() in _HIDDEN:
            return f"{VISIBLE_VARIABLE}={hidden} hides every GPU. Fix: unset it"
        if not self.driver:
            return "no driver of NVIDIA is loaded on this machine. Fix: install one, or use a machine with a GPU"
        return (
            f"PyTorch was built for CUDA {self.cuda} and finds no GPU through the driver. Fix: see what nvidia-smi "
            "prints; update the driver, or install a build for an older CUDA"
        )

    @property
    def problem(self) -> str | None:
        """What the environment configures and this machine does not offer, with the fix; None if there is nothing."""
        asked = os.environ.get(VISIBLE_VARIABLE, "").strip()
        if asked in _HIDDEN or self.gpus:
            return None
        reason, _, fix = str(self.missing_gpu).partition(". Fix: ")
        return f"{VISIBLE_VARIABLE}: is {asked}, but PyTorch finds no GPU: {reason}. Fix: {fix}, or unset the variable"

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def _gpu(index: int) -> GPU:
    properties = torch.cuda.get_device_properties(index)
    capability = f"{properties.major}.{properties.minor}"
    return GPU(properties.name, properties.total_memory, capability, bfloat16=properties.major >= 8)


def _memory() -> tuple[int | None, int | None]:
    """Bytes of all memory and of what is available; None for what is unknown (other systems than Linux)."""
    sizes: dict[str, int] = {}
    with suppress(OSError):
        for line in _MEMORY.read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if rest.endswith("kB"):
                sizes[name] = int(rest.split()[0]) * 1024
    limits = [sizes["MemTotal"]] if "MemTotal" in sizes else []
    with suppress(OSError, ValueError):  # "max" is no limit
        limits.append(int(_LIMIT.read_text(encoding="ascii")))
    total = min(limits, default=None)
    available = sizes.get("MemAvailable")
    return total, available if available is None or total is None else min(available, total)
