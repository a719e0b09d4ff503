"""Training jobs on Ray: parents, additions and sequences of additions, tracked by MLflow, resumed where they stood."""

from ray_jobs.driver import Driver, Outcome
from ray_jobs.run import add

__all__ = ["Driver", "Outcome", "add"]
