"""``python -m ray_jobs.train_parent SPEC``."""

from __future__ import annotations

from continual_mt.config.loading import read_spec
from continual_mt.config.spec import ParentSpec
from ray_jobs.entrypoint import command

if __name__ == "__main__":
    command(
        "train_parent",
        "Train a parent from a spec and register it.",
        lambda driver, path: [driver.train_parent(read_spec(ParentSpec, path))],
    )
