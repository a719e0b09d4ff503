"""What a job makes to train on, before it trains: back-translations and noised sentences."""

from __future__ import annotations

from pathlib import Path

from ray_jobs.console import Display
from ray_jobs.execution.back_translating import back_translate
from ray_jobs.execution.denoising import noised_text
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.synthetic_text import SyntheticCorpora
from registry import Registry


def make_synthetic(job: ResolvedJob, registry: Registry, cache: Path, display: Display) -> SyntheticCorpora:
    """Make what an addition asks for, as far as it is not in the cache.

    Raises what `back_translate` and `noised_text` do.
    """
    return SyntheticCorpora(back_translate(job, registry, cache, display), noised_text(job, cache))
