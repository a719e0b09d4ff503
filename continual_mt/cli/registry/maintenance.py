"""``continual-mt registry verify`` and ``registry gc``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import counting, print_json, print_table, print_text, say
from continual_mt.errors import InputError, StorageError
from continual_mt.home import Home

if TYPE_CHECKING:
    from dashboards.tables.table import Table
    from ray_jobs.execution.unfinished import AbandonedJob
    from registry import Registry
    from registry.maintenance.results import Collection, Verification

_GRACE = re.compile(r"([0-9]{1,5})([dh])")
_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=options.examples("continual-mt registry verify", "continual-mt registry verify --keep --fingerprints")
    )(verify)
    app.command(
        "gc", epilog=options.examples("continual-mt registry gc", "continual-mt registry gc --delete --grace 2d")
    )(collect_garbage)


def verify(
    keep: Annotated[bool, typer.Option("--keep", help="Leave damaged blobs where they are.")] = False,
    fingerprints: Annotated[
        bool,
        typer.Option("--fingerprints", help="Also compute each parent's and module's fingerprint from its weights."),
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Read every blob again and check its digest, and that everything that records refer to exists.

    Damaged blobs are moved aside, into the folder 'quarantine' of the blobs; nothing is deleted but damaged copies in
    the cache of a remote storage, which are fetched again when needed. Exits with 1 when
    something is damaged, missing or wrong, and lists what needs it. Blobs without a record are listed, and are not
    an error. Jobs may write meanwhile.
    """
    from registry import Registry
    from registry.maintenance.verify import verify

    with Registry.open(Home.resolve(home).path) as opened, counting("blobs", None) as progress:
        found = verify(opened, set_aside=not keep, fingerprints=fingerprints, progress=progress)
    if as_json:
        print_json(found.to_json())
    else:
        _print_verification(found, opened.name)
    if found.problems:
        listed = ", ".join(problem.subject for problem in found.problems[:_SHOWN])
        say(
            f"error: {_count(len(found.problems), 'problem')}: {listed}. A blob comes back when the same content is "
            "registered or imported again, or when its file is copied back from a backup"
        )
        raise typer.Exit(1)


def collect_garbage(
    delete: Annotated[bool, typer.Option("--delete", help="Delete for good (default: dry run).")] = False,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="Nothing younger is touched; days or hours, such as 7d or 12h.")
    ] = "7d",
    deleted: Annotated[
        bool,
        typer.Option("--deleted", help="Also forget parents and modules that were deleted longer ago than that."),
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Remove blobs that nothing refers to, files left over from crashed writers, and what abandoned jobs left.

    A job is abandoned if it is not finished, no driver holds it, and it was not active within the grace period; its
    checkpoints are removed, also from a remote storage. 'continual-mt jobs list' lists all unfinished jobs.

    Without '--delete' it is a dry run. Blobs written within the grace period are kept, and jobs may
    write meanwhile: choose a period that is longer than a job needs to score. Damaged blobs that were moved aside stay.
    """
    from registry import Registry
    from registry.maintenance.gc import collect

    period, place = _period(grace), Home.resolve(home)
    with Registry.open(place.path) as opened, counting("removed", None) as progress:
        found = collect(opened, grace=period, for_good=delete, forget=deleted, progress=progress)
        jobs = _abandoned_jobs(opened, place, period, delete)
    if as_json:
        print_json({"deleted": delete, **found.to_json(), "jobs": [job.to_json() for job in jobs]})
    else:
        _print_collection(found, jobs, delete, grace)


def _abandoned_jobs(opened: Registry, home: Home, grace: timedelta, for_good: bool) -> list[AbandonedJob]:
    """Abandoned jobs; with ``for_good`` those that were removed."""
    if not opened.jobs.records():  # the rest imports torch
        return []
    from ray_jobs.execution.unfinished import abandoned, remove

    found = []
    for job in abandoned(opened, home, grace, say):
        try:
            if not for_good or remove(opened, job):
                found.append(job)
        except StorageError as error:
            say(f"kept: {error}")
    return found


def _period(text: str) -> timedelta:
    """Raises InputError for anything but a number of days or hours."""
    match = _GRACE.fullmatch(text)
    if match is None:
        raise InputError(
            f"--grace {text[:40]!r} is not a duration; expected a number of days or hours, such as 7d or 12h"
        )
    number = int(match[1])
    return timedelta(days=number) if match[2] == "d" else timedelta(hours=number)


def _print_verification(found: Verification, registry: str) -> None:
    from dashboards.tables.artifacts import size

    print_text(f"{_count(found.blobs, 'blob')} of {size(found.bytes)} of {registry} are as their digests say\n")
    if found.orphans:
        count = _count(len(found.orphans), "blob")
        print_text(f"\n{count} that nothing refers to; `continual-mt registry gc` removes them when they are old:\n")
        print_table(_table(("blob", "stored"), [(blob.digest, size(blob.bytes)) for blob in found.orphans]))
    if found.leftovers:
        print_text("\ntemporary files of writers that ended early or write now, and notes of blobs that are gone:\n")
        print_table(_table(("file", "stored"), [(left.place, size(left.bytes)) for left in found.leftovers]))
    if found.copies_dropped:
        count = _count(found.copies_dropped, "blob")
        print_text(f"\nremoved damaged copies of {count} from the cache; they are fetched again when needed\n")
    if found.gone:
        print_text(f"\nscores, recipes or lineage name modules that were removed: {', '.join(found.gone)}\n")
    for problem in found.problems:
        print_text(f"\n{problem.kind} {problem.subject}\n  {problem.explanation}\n")
        print_text("".join(f"  needed by {user}\n" for user in problem.needed_by))
        if problem.aside:
            print_text(f"  moved to {problem.aside}\n")


def _print_collection(found: Collection, jobs: list[AbandonedJob], for_good: bool, grace: str) -> None:
    from dashboards.tables.artifacts import size

    rows = [*((f"blob {blob.digest}", size(blob.bytes)) for blob in found.blobs)]
    rows += [(f"leftover file {leftover.place}", size(leftover.bytes)) for leftover in found.leftovers]
    rows += [(f"deleted {name}", size(count)) for name, count in found.forgotten]
    rows += [(_described(job), size(job.bytes)) for job in jobs]
    total = size(found.bytes + sum(job.bytes for job in jobs))
    if rows:
        print_table(_table(("removed" if for_good else "would be removed", "stored"), rows))
    for reason in found.kept:
        print_text(f"kept {reason}\n")
    young = f"; {_count(found.young, 'more blob')} younger than {grace}" if found.young else ""
    if not rows:
        say(f"nothing to remove{young}")
    elif for_good:
        say(f"removed {total}{young}")
    else:
        say(f"{total} would be removed{young}; nothing was: give --delete to do it")


def _described(job: AbandonedJob) -> str:
    progress = f", {job.job.progress}" if job.job.progress else ""
    folder = f": {job.job.checkpoints.place}" if job.bytes and job.job.checkpoints else ""
    return f"unfinished {job.job.title}{progress}{folder}"


def _table(names: tuple[str, str], rows: list[tuple[str, str]]) -> Table:
    from dashboards.tables.table import Column, Table

    return Table([Column(names[0]), Column(names[1], number=True)], rows)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
