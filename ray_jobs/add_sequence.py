"""``python -m ray_jobs.add_sequence SPEC``."""

from __future__ import annotations

from continual_mt.shadowing import exit_if_hidden

if __name__ == "__main__":
    exit_if_hidden()  # before anything imports the packages that a user's own module may hide
    import ray_jobs
    from continual_mt.config.spec import SequenceSpec
    from ray_jobs.entrypoint import command

    command(
        "add_sequence",
        "Add languages to one parent, in the order of a spec.",
        SequenceSpec,
        lambda driver, spec: ray_jobs.add_sequence(driver, spec),
    )
