"""``continual-mt sequence run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from continual_mt.cli import options
from continual_mt.cli.jobs import Job

app = options.group("Sequences: additions to one parent, in order.")


@app.callback()
def sequence() -> None:
    pass


@app.command(epilog=options.examples("continual-mt sequence run sequence.yaml --home /data/home"))
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file: name, parent, additions.")],
    again: options.Again = False,
    address: options.Address = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Add the languages of a spec, one after the other; all of it is checked before the first is trained."""
    from continual_mt.spec import SequenceSpec, read_spec
    from ray_jobs.sequence import add_sequence

    read = read_spec(SequenceSpec, spec)
    Job("add_sequence", home, address, again, as_json).run(read, lambda driver: add_sequence(driver, read))
