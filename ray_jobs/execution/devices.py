"""The devices of this machine that a job may ask for."""

from __future__ import annotations

import torch

from continual_mt.config.spec import Resources


def missing_gpu(resources: Resources) -> str | None:
    """The problem of resources with GPUs where PyTorch finds none on this machine; None if there is no problem."""
    if not resources.gpus or torch.cuda.is_available():
        return None
    return (
        f"resources.gpus: {resources.gpus:g} GPUs, but PyTorch finds no GPU on this machine. Fix: set it to 0, or "
        "train on a cluster that has one; 'continual-mt doctor' shows why none is found"
    )
