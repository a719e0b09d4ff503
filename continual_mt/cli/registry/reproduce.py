"""``continual-mt registry reproduce``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.cli.support.run_job import ADDRESS_VARIABLE, check_options
from continual_mt.errors import SpecError
from continual_mt.home import Home, expanded

if TYPE_CHECKING:
    from dashboards.tables.table import Table
    from ray_jobs.reproduction.reproduce import Reproduction

EPILOG = options.examples(
    "continual-mt registry reproduce de-en:1",
    "continual-mt registry reproduce fr-en --corpora /data/moved --set resources.cpus=2 --json",
)
VERDICTS = {
    "bit for bit": "the same, bit for bit",
    "by score": "the same by score: no difference is significant",
    "different": "different",
}
LISTED = 10


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A parent, or a module: de-en, de-en:1, PARENT/de-en:1.")],
    corpora: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where texts lie now that are not where they were; digests identify them."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Other resources, such as resources.cpus=2. May be repeated."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster: auto, HOST:PORT or ray://….  [default: RAY_ADDRESS, else Ray is started here]",
        ),
    ] = None,
    in_process: options.InProcess = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Train a parent or module again from its record, and report whether the result is the same.

    It is the same bit for bit, or by score if no difference on the recorded test sets is significant (paired bootstrap,
    p < 0.05). Nothing is registered or tracked. Exits 0 if it is the same, and 1 if it is not.
    """
    from ray_jobs.driver import Driver
    from ray_jobs.reproduction.reproduce import reproduce as train_again

    check_options(in_process, address)
    cluster = None if in_process else address or os.environ.get(ADDRESS_VARIABLE)
    resources = _resources(settings or [], cluster, corpora)
    with Driver(Home.resolve(home), address=address, in_process=in_process) as driver:
        record = driver.registry.catalog.find(name)
        found = train_again(driver, record, corpora=corpora and expanded(corpora), resources=resources)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if found.verdict == "different":
        raise typer.Exit(1)


def _resources(settings: list[str], address: str | None, corpora: Path | None) -> dict[str, object]:
    """The resources in ``--set``. Raises SpecError with every problem of the options."""
    from continual_mt.cli.support.spec_options import ORIGIN
    from continual_mt.config.loading import assignments

    given = assignments(settings)
    resources = given.pop("resources", {})
    problems = [f"--set {key}: only resources can be others, or it would be other work" for key in given]
    if not isinstance(resources, dict):
        problems.append("--set resources: name a key, such as resources.cpus=2")
    if address and address.startswith(("http://", "https://")):
        problems.append(f"{address} takes jobs that are submitted; give auto or HOST:PORT of the same cluster")
    if corpora is not None and not expanded(corpora).is_dir():
        problems.append(f"--corpora: the folder {corpora} does not exist")
    if problems:
        raise SpecError(ORIGIN, problems)
    return dict(resources)


def _print(found: Reproduction) -> None:
    print_text(f"{found.name}: {VERDICTS[found.verdict]}\n")
    print_text(f"digest on record: {found.recorded_digest}\ndigest now:       {found.digest}\n")
    tokenizers = ", ".join(f"{side} {'the same' if same else 'another'}" for side, same in found.tokenizers.items())
    print_text(f"tokenizer: {tokenizers}\n")
    if found.tensors:
        more = len(found.tensors) - LISTED
        beyond = f", the {LISTED} with the largest differences (--json has all)" if more > 0 else ""
        print_text(f"\ntensors that differ: {len(found.tensors)}{beyond}\n")
        print_table(_tensors_table(found))
    if found.verdict != "bit for bit":
        print_text("\nscores:\n")
        if found.scores:
            print_table(_scores_table(found))
        else:
            say("none is on record with its test set's text: 'continual-mt evaluate' makes them, then try again")
    print_text("\nsurroundings:\n")
    print_table(_surroundings_table(found))


def _tensors_table(found: Reproduction) -> Table:
    from dashboards.tables.artifacts import percent
    from dashboards.tables.table import NOTHING, Column, Table

    def largest(value: float | None) -> float:
        return float("inf") if value is None else value

    def shape(sizes: tuple[int, ...] | None) -> str:
        return NOTHING if sizes is None else " × ".join(map(str, sizes))

    shown = sorted(found.tensors, key=lambda tensor: (-largest(tensor.largest), tensor.name))[:LISTED]
    columns = [Column("tensor"), Column("shape"), Column("now")]
    columns += [Column("largest difference", True), Column("values that differ", True)]
    rows = [
        (
            tensor.name,
            shape(tensor.first_shape),
            "the same" if tensor.first_shape == tensor.second_shape else shape(tensor.second_shape),
            NOTHING if tensor.largest is None else f"{tensor.largest:.2g}",
            NOTHING if tensor.share is None else percent(tensor.share),
        )
        for tensor in shown
    ]
    return Table(columns, rows)


def _scores_table(found: Reproduction) -> Table:
    from dashboards.tables.table import Column, Table

    columns = [Column("test set"), Column("sentences", True), Column("beam", True), Column("metric")]
    columns += [Column(name, number=True) for name in ("on record", "now", "p")]
    rows = [
        (
            score.test,
            f"{score.sentences:,}",
            str(score.beam),
            score.metric,
            f"{score.recorded:.2f}",
            f"{score.now:.2f}",
            "translations not kept" if score.p_value is None else f"{score.p_value:.3f}",
        )
        for score in found.scores
    ]
    return Table(columns, rows)


def _surroundings_table(found: Reproduction) -> Table:
    from dashboards.tables.table import Column, Table
    from ray_jobs.reproduction.reproduce import NOT_RECORDED

    def compared(recorded: str, now: str) -> str:
        return "unknown" if NOT_RECORDED in (recorded, now) else "yes" if recorded == now else "no"

    columns = (Column("what"), Column("on record"), Column("now"), Column("the same"))
    return Table(
        columns,
        [(one.name, one.recorded, one.now, compared(one.recorded, one.now)) for one in found.surroundings],
    )
