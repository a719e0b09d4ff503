"""``continual-mt jobs list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, say
from continual_mt.home import Home

if TYPE_CHECKING:
    from dashboards.tables.table import Table
    from ray_jobs.execution.unfinished import UnfinishedJob

app = options.group("Jobs: trainings that run, and those that were not finished.")


@app.callback()
def jobs() -> None:
    pass


@app.command(
    "list", epilog=options.examples("continual-mt jobs list", "continual-mt jobs list --all --json --home /data/home")
)
def list_jobs(
    every: Annotated[bool, typer.Option("--all", help="Also list finished jobs.")] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """List jobs that run or were not finished, with their progress and the folder of their checkpoints.

    To continue a job, start it with the same spec again. 'registry gc --delete' removes those that were not continued
    for a week. --json adds each job's spec.
    """
    from registry import Registry

    place = Home.resolve(home)
    with Registry.open(place.path) as registry:
        records = registry.jobs.records(finished=every)
        if records:
            from ray_jobs.execution.unfinished import UnfinishedJob

            found = [UnfinishedJob.of(record, place, say) for record in records]
        else:
            found = []
    if as_json:
        print_json([job.to_json() for job in found])
    elif found:
        print_table(_table(found))
    else:
        say("no unfinished jobs" if not every else "no jobs yet")


def _table(jobs: list[UnfinishedJob]) -> Table:
    from dashboards.tables.table import Column, Table

    columns = [Column(name) for name in ("job", "what", "state", "progress", "last active (UTC)", "checkpoints")]
    rows = [
        (
            job.record.digest[:12],
            job.title,
            job.state,
            job.progress or "-",
            f"{job.record.updated:%Y-%m-%d %H:%M}",
            job.checkpoints.place if job.checkpoints and job.update is not None else "-",
        )
        for job in jobs
    ]
    return Table(columns, rows)
