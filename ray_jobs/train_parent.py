"""``python -m ray_jobs.train_parent SPEC``."""

from __future__ import annotations

from continual_mt.spec import ParentSpec
from continual_mt.spec_reading import read_spec
from ray_jobs.run import command

if __name__ == "__main__":
    command(
        "train_parent",
        "Train a parent from a spec and register it.",
        lambda driver, path: [driver.train_parent(read_spec(ParentSpec, path))],
    )
