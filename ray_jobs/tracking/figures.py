"""The figures of a sequence on its MLflow run, where the packages that draw them are installed."""

from __future__ import annotations

from collections.abc import Callable

from continual_mt.extras import missing
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import Registry, SequenceRecord


def log_figures(tracker: Tracker, registry: Registry, sequence: SequenceRecord, say: Callable[[str], None]) -> None:
    """Attach every view of a sequence; without the extra ``dashboard`` report one line instead."""
    problem = missing("dashboard")
    if problem:
        say(f"MLflow gets no figures: drawing them {problem}")
        return
    from dashboards.report.mlflow_artifacts import sequence_artifacts

    tracker.files(sequence_artifacts(registry, sequence), "figures")
