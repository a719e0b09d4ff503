"""``python -m ray_jobs.add_sequence SPEC``."""

from __future__ import annotations

from continual_mt.spec import SequenceSpec
from continual_mt.spec_reading import read_spec
from ray_jobs.run import command
from ray_jobs.sequence import add_sequence

if __name__ == "__main__":
    command(
        "add_sequence",
        "Add languages to one parent, in the order of a spec.",
        lambda driver, path: add_sequence(driver, read_spec(SequenceSpec, path)),
    )
