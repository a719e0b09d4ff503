"""``python -m ray_jobs.add_sequence SPEC``."""

from __future__ import annotations

from continual_mt.config.loading import read_spec
from continual_mt.config.spec import SequenceSpec
from ray_jobs.entrypoint import command
from ray_jobs.sequence import add_sequence

if __name__ == "__main__":
    command(
        "add_sequence",
        "Add languages to one parent, in the order of a spec.",
        lambda driver, path: add_sequence(driver, read_spec(SequenceSpec, path)),
    )
