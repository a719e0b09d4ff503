"""``continual-mt doctor``: what this machine offers, which services can be used, and what a job would use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say

if TYPE_CHECKING:
    from continual_mt.training.machine import Machine
    from ray_jobs import Report
    from ray_jobs.diagnosis.usage import Usage

EPILOG = options.examples(
    "continual-mt doctor", "continual-mt doctor --home /data/home --address HOST:6379", "continual-mt doctor --json"
)
_GIGA = 1e9


def doctor(
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster to examine.  [default: RAY_ADDRESS, else none]"),
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Examine this machine and the services that are configured, and show what a job would use.

    Shows processors, memory and GPUs; versions; Ray, MLflow, the registry's database and its blobs; and for a training
    and a translation that start now, the back end, device, precision and threads. Creates and changes nothing. Exits
    with 1 if something that is configured cannot be used, and prints how to mend it on standard error. Waits 15 seconds
    at most for each service, 30 for a Ray cluster.
    """
    from ray_jobs import diagnose

    report = diagnose(home, address=address)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
        for problem in report.problems:
            say(f"problem: {problem}")
    if report.problems:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    versions = ((package, version or "not installed") for package, version in report.versions.items())
    _print_table("machine", ("", "found"), _machine(report.machine))
    _print_table("versions", ("package", "version"), versions)
    exists = "exists" if report.home.path.is_dir() else "does not exist yet"
    services = [("home", "folder", str(report.home.path), exists)]
    services += [(one.name, one.kind, one.place or "-", one.state) for one in report.services.values()]
    _print_table("services", ("service", "kind", "place", "state"), services)
    _print_table("used by what starts now", ("work", "back end", "device", "precision", "threads"), _used(report.used))
    for reason in dict.fromkeys(one.refused for one in report.used if one.refused):
        print_text(f"not possible: {reason}\n")


def _used(used: Sequence[Usage]) -> Iterator[tuple[str, ...]]:
    for one in used:
        if one.refused:
            yield one.work, "not possible", "-", "-", "-"
        else:
            found = one.back_end, one.device, one.precision, one.threads
            yield one.work, *("as the cluster has" if value is None else str(value) for value in found)


def _machine(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "system", machine.system
    yield "processor", machine.processor
    yield (
        "CPUs",
        f"{machine.cpus}, of which this process may use {machine.usable_cpus}; threads of PyTorch {machine.threads}",
    )
    yield "bfloat16 products on the CPU", "native" if machine.bfloat16 else "not native"
    yield "memory", f"{_size(machine.memory_bytes)}, available {_size(machine.available_bytes)}"
    yield "CUDA of PyTorch", machine.cuda or "none: a build for CPUs"
    for number, gpu in enumerate(machine.gpus):
        native = "native" if gpu.bfloat16 else "not native"
        about = f"{gpu.name}, {_size(gpu.memory_bytes)}, compute capability {gpu.compute_capability}, bfloat16 {native}"
        yield f"GPU {number}", about
    if machine.missing_gpu:
        yield "GPUs", f"none: {machine.missing_gpu}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / _GIGA:.1f} GB"


def _print_table(
    title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]
) -> None:
    from dashboards.tables.table import Column, Table

    print_text(f"{title}:\n")
    print_table(Table([Column(name) for name in columns], [list(row) for row in rows]))
    print_text("\n")
