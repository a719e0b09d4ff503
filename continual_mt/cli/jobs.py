"""``continual-mt jobs list`` and ``jobs show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.home import Home

if TYPE_CHECKING:
    from dashboards.tables.table import Table
    from ray_jobs.execution.job_progress import JobProgress

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
    for a week. --json adds what 'jobs show' shows: each job's spec, and what its digest covers.
    """
    from registry import Registry

    place = Home.resolve(home)
    with Registry.open(place.path) as registry:
        records = registry.jobs.records(finished=every)
        if records:
            from ray_jobs.execution.job_progress import JobProgress

            found = [JobProgress.of(record, place, say) for record in records]
        else:
            found = []
    if as_json:
        print_json([job.to_json() for job in found])
    elif found:
        print_table(_table(found))
    else:
        say("no unfinished jobs" if not every else "no jobs yet")


@app.command(epilog=options.examples("continual-mt jobs show 3f5a0c12", "continual-mt jobs show 3f5a0c12 --json"))
def show(
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="The job's digest or its first digits, as 'jobs list --all' shows.")
    ],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Show one job, finished or not: what 'jobs list' shows, its resolved spec, and what its digest covers.

    In what the digest covers, texts, modules and the parent are named by their own digests. In '--json' the key is
    "identity".
    """
    from registry import Registry

    place = Home.resolve(home)
    with Registry.open(place.path) as registry:
        record = registry.jobs.job_of(digest)
    from ray_jobs.execution.job_progress import JobProgress

    job = JobProgress.of(record, place, say)
    if as_json:
        print_json({**job.to_json(), "identity": record.identity})
        return
    facts = {**_facts(job), "job": record.digest}
    print_text("".join(f"{name}: {value}\n" for name, value in facts.items()))
    for title, values in (("spec", record.spec), ("what the digest covers", record.identity)):
        text = None if values is None else yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        print_text(f"\n{title}: not recorded\n" if text is None else f"\n{title}:\n{text}")


def _table(jobs: list[JobProgress]) -> Table:
    from dashboards.tables.table import Column, Table

    rows = [_facts(job) for job in jobs]
    return Table([Column(name) for name in rows[0]], [list(row.values()) for row in rows])


def _facts(job: JobProgress) -> dict[str, str]:
    """What is shown of each job, under the names of the columns."""
    return {
        "job": job.record.digest[:12],
        "what": job.title,
        "state": job.state,
        "progress": job.progress or "-",
        "last active (UTC)": f"{job.record.updated:%Y-%m-%d %H:%M}",
        "checkpoints": job.checkpoints.place if job.checkpoints and job.update is not None else "-",
    }
