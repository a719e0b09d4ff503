"""``continual-mt sequence run`` and ``sequence show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.cli.support.run_job import JobCommand
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry.analysis.history import History
    from registry.analysis.summary import Summary

app = options.group("Sequences: additions to one parent, in order.")


@app.callback()
def sequence() -> None:
    pass


@app.command(epilog=options.examples("continual-mt sequence run sequence.yaml --home /data/home"))
def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file: name, parent, additions.")],
    again: options.Again = False,
    rescore: options.Rescore = False,
    address: options.Address = None,
    in_process: options.InProcess = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Add the languages of a spec; all of it is checked before the first is trained.

    As many train at the same time as there is room for: by default each uses the whole machine, and with resources:
    {cpus: 1} two cores train two. One that fails does not end the others; started again, the sequence trains only what
    is missing, and continues scoring. With mode: shared each continues from the cross-attention of the one before, and
    replay: 0.2 repeats earlier pairs meanwhile.
    """
    from continual_mt.config.loading import read_spec
    from continual_mt.config.spec import SequenceSpec
    from ray_jobs.sequence import add_sequence

    read = read_spec(SequenceSpec, spec)
    command = JobCommand("add_sequence", home, address, in_process, again, as_json, rescore)
    command.run(read, lambda driver: add_sequence(driver, read))


@app.command(epilog=options.examples("continual-mt sequence show latin", "continual-mt sequence show latin --json"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A sequence; of several of this name the newest.")],
    test: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The test set, for pairs that have it.  [default: the first by name]"),
    ] = None,
    parent: options.OfParent = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Show what every pair scored along a sequence: what was learned, kept and forgotten.

    A table a metric and view: each pair by its own recipe (routed), or through the cross-attention that was trained
    last (through; shared where it is the only one). Then the measures.
    """
    from registry import Registry
    from registry.analysis.history import History, find_sequence
    from registry.analysis.summary import summarize

    with Registry.open(Home.resolve(home).path) as registry:
        sequence = find_sequence(registry.catalog, name, parent=parent)
        history = History.read(registry.catalog, sequence, test=test)
        summary = summarize(registry.catalog, history)
    if as_json:
        matrices = [{"view": view, **matrix.to_json()} for view, matrix in history.matrices()]
        print_json({"sequence": sequence.to_json(), "matrices": matrices, "summary": summary.to_json()})
    else:
        _print(history, summary)


def _print(history: History, summary: Summary) -> None:
    from continual_mt.evaluation.metric_names import METRIC_LABELS
    from dashboards.tables.sequences import (
        additions_table,
        averages_table,
        forgetting_table,
        matrix_table,
        measures_table,
        scored_on_table,
    )

    sequence, last = history.sequence, history.last
    count = len(sequence.additions)
    print_text(
        f"sequence: {sequence.name}\nparent: {sequence.parent}\nmode: {sequence.mode}\n"
        f"begun: {sequence.created:%Y-%m-%d %H:%M UTC}\nadditions: {', '.join(map(str, sequence.additions))}\n"
    )
    if last is None:
        say("nothing was scored along it yet; its pairs need test sets, and 'continual-mt sequence run' scores them")
        return
    print_text(f"scored: up to position {last} of {count}\n")
    named = [(f"{METRIC_LABELS[m.metric]}, {view}", matrix_table(m, sequence)) for view, m in history.matrices()]
    named += [
        ("test sets", scored_on_table(summary)),
        ("additions", additions_table(summary)),
        ("averages", averages_table(summary)),
        ("forgetting, in BLEU", forgetting_table(summary)),
        ("measures", measures_table(summary)),
    ]
    for title, table in named:
        if table.rows:
            print_text(f"\n{title}:\n")
            print_table(table)
