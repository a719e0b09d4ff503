"""``python -m ray_jobs.add_language SPEC``."""

from __future__ import annotations

from continual_mt.shadowing import exit_if_hidden

if __name__ == "__main__":
    exit_if_hidden()  # before anything imports the packages that a user's own module may hide
    from continual_mt.config.spec import AdditionSpec
    from ray_jobs.entrypoint import command

    command(
        "add_language",
        "Add a language to a parent from a spec and register its module.",
        AdditionSpec,
        lambda driver, spec: [driver.add_language(spec)],
    )
