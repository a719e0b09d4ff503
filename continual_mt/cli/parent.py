"""``continual-mt parent train``."""

from __future__ import annotations

from typing import Annotated

import typer

from continual_mt.cli.support import options, spec_options
from continual_mt.cli.support.run_job import JobCommand

app = options.group("Parents: models of one pair, trained once, then frozen.")


@app.callback()
def parent() -> None:
    pass


@app.command(
    epilog=options.examples(
        "continual-mt parent train --pair fr-en --train train.fr train.en --dev val.fr val.en --test test.fr test.en",
        "continual-mt parent train --spec parent.yaml --set training.updates=8000 --set resources.workers=2",
    )
)
def train(
    pair: Annotated[str | None, typer.Option(metavar="PAIR", help="SOURCE-TARGET, such as fr-en.")] = None,
    train: options.Train = None,
    train_tsv: options.TrainTsv = None,
    dev: options.Dev = None,
    dev_tsv: options.DevTsv = None,
    test: options.Test = None,
    test_tsv: options.TestTsv = None,
    name: Annotated[str | None, typer.Option(help="The parent's name.  [default: the pair]")] = None,
    settings: options.Settings = None,
    spec: options.SpecFile = None,
    again: options.Again = False,
    address: options.Address = None,
    in_process: options.InProcess = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Train a parent and register it.

    After an interruption the same command continues from the last checkpoint; run again, it only reports.
    """
    from continual_mt.config.spec import ParentSpec

    given = {
        "pair": pair,
        "name": name,
        "train": spec_options.corpus(train, train_tsv),
        "dev": spec_options.corpus(dev, dev_tsv),
    }
    built = spec_options.build(ParentSpec, spec, given, settings, test=spec_options.corpus(test, test_tsv))
    command = JobCommand("train_parent", home, address, in_process, again, as_json)
    command.run(built, lambda driver: [driver.train_parent(built)])
