"""Training jobs: parents, additions and sequences, on Ray or in this process, tracked by MLflow and resumable."""

from __future__ import annotations

from continual_mt.import_path import WithoutCurrentFolder

with WithoutCurrentFolder():
    import importlib
    from typing import TYPE_CHECKING

import continual_mt  # noqa: F401  # before the modules here import PyTorch

if TYPE_CHECKING:
    from ray_jobs.diagnosis.report import Report, diagnose
    from ray_jobs.driver import Driver
    from ray_jobs.entrypoint import add
    from ray_jobs.execution.job import Outcome
    from ray_jobs.sequence import add_sequence

__all__ = ["Driver", "Outcome", "Report", "add", "add_sequence", "diagnose"]

_PLACES = {
    "Driver": "ray_jobs.driver",
    "Outcome": "ray_jobs.execution.job",
    "Report": "ray_jobs.diagnosis.report",
    "add": "ray_jobs.entrypoint",
    "add_sequence": "ray_jobs.sequence",
    "diagnose": "ray_jobs.diagnosis.report",
}


def __getattr__(name: str) -> object:
    # Imported on first use: PyTorch and Ray take seconds to import, and resolving a spec needs neither.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with WithoutCurrentFolder():
        return getattr(importlib.import_module(_PLACES[name]), name)
