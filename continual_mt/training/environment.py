"""The software and hardware that can change the last bits of a training run: versions, processor, threads."""

from __future__ import annotations

import importlib.metadata
import platform
from contextlib import suppress
from pathlib import Path

import torch

Environment = dict[str, str | int]

_PACKAGES = ("torch", "numpy", "sentencepiece")
_PROCESSORS = Path("/proc/cpuinfo")


def environment(device: torch.device, precision: torch.dtype, workers: int) -> Environment:
    """Describe this process, one of ``workers``, computing on ``device`` in ``precision``; threads are per worker."""
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {
        "python": platform.python_version(),
        **versions,
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "precision": str(precision).removeprefix("torch."),
        "workers": workers,
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """Return the processor's name (on Linux; elsewhere the architecture) and the instruction set that PyTorch uses."""
    name = platform.machine()
    with suppress(OSError):
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
