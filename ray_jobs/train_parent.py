"""``python -m ray_jobs.train_parent SPEC``."""

from __future__ import annotations

from continual_mt.shadowing import exit_if_hidden

if __name__ == "__main__":
    exit_if_hidden()  # before anything imports the packages that a user's own module may hide
    from continual_mt.config.spec import ParentSpec
    from ray_jobs.entrypoint import command

    command(
        "train_parent",
        "Train a parent from a spec and register it.",
        ParentSpec,
        lambda driver, spec: [driver.train_parent(spec)],
    )
