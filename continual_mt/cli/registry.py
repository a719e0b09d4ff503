"""``continual-mt registry list``, ``registry show`` and ``registry upgrade``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from continual_mt.cli import options
from continual_mt.cli.output import print_json, print_table, print_text, say
from continual_mt.errors import LanguageError
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry import ModuleRecord, ParentRecord, Registry, ScoreRecord

app = options.group("Parents and modules: what they store and where they come from.")


@app.callback()
def registry() -> None:
    pass


@app.command("list", epilog=options.examples("continual-mt registry list", "continual-mt registry list --json"))
def list_all(home: options.Home = None, as_json: options.Json = False) -> None:
    """List parents and modules with what they store.

    A module's share is of its parent's parameters.
    """
    from dashboards.tables import storage_table
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as opened:
        parents, modules = opened.parents(), opened.modules()
    if as_json:
        print_json(
            {"parents": [parent.to_json() for parent in parents], "modules": [module.to_json() for module in modules]}
        )
    elif parents:
        print_table(storage_table(parents, modules, created=True))
    else:
        say("there is nothing yet; train a parent with 'continual-mt parent train'")


@app.command(epilog=options.examples("continual-mt registry show fr-en", "continual-mt registry show de-en:1 --json"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A parent, or a module: de-en, de-en:1, PARENT/de-en:1.")],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Show everything about one parent or module.

    What it stores, its corpora and their licences, its spec and run, and its scores.
    """
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as opened:
        record = _find(opened, name)
        scores = _scores_of(opened, record)
    if as_json:
        print_json({**record.to_json(), "scores": [score.to_json() for score in scores]})
    else:
        _print(record, scores)


@app.command(epilog=options.examples("continual-mt registry upgrade --home /data/home"))
def upgrade(home: options.Home = None) -> None:
    """Bring the tables of a registry that an older version wrote to this version's.

    Make a copy of the database first. A registry that is up to date stays as it is.
    """
    from registry import Registry

    with Registry.open(Home.resolve(home).path, upgrade=True) as opened:
        say(f"{opened.name} has the tables of this version")


def _find(opened: Registry, name: str) -> ParentRecord | ModuleRecord:
    """A parent of this name, else a module. Raises UnknownNameError listing both."""
    from continual_mt.errors import UnknownNameError
    from registry.names import ModuleName, unknown

    parents = {parent.name: parent for parent in opened.parents()}
    if name in parents:
        return parents[name]
    modules = [module.full_name for module in opened.modules()]
    try:
        ModuleName.parse(name)
    except (LanguageError, UnknownNameError):
        raise unknown("parent or module", name, [*parents, *modules]) from None
    return opened.module(name)


def _scores_of(opened: Registry, record: ParentRecord | ModuleRecord) -> list[ScoreRecord]:
    """Of a parent the scores of all that stands on it, of a module those of the recipes that use it."""
    from registry import ModuleRecord

    if isinstance(record, ModuleRecord):
        return opened.scores(parent=record.parent, module=record.full_name)
    return opened.scores(parent=record.name)


def _print(record: ParentRecord | ModuleRecord, scores: list[ScoreRecord]) -> None:
    from dashboards.tables import corpora_table, results_table, size, time_of
    from registry import ModuleRecord

    lineage = record.lineage
    facts = {"pair": str(record.pair), "parameters": f"{record.parameters:,}", "stored": size(record.bytes)}
    if isinstance(record, ModuleRecord):
        facts = {"module": record.full_name, **facts, "new side": f"{record.side} {record.language}"}
        facts |= {"scope": record.scope, "digest": record.digest, "parent's fingerprint": record.parent_fingerprint}
    else:
        facts = {"parent": record.name, **facts, "fingerprint": record.fingerprint}
        facts |= {"architecture": ", ".join(f"{key} {value}" for key, value in record.architecture.items())}
    facts |= {"created": time_of(record), "code version": lineage.code_version}
    facts |= {"MLflow run": lineage.run or "none", "job": lineage.job or "none"}
    print_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    for title, table in (("corpora", corpora_table(lineage)), ("scores", results_table(scores))):
        print_text(f"\n{title}:{'' if table.rows else ' none'}\n")
        if table.rows:
            print_table(table)
    print_text("\nspec:\n" + yaml.safe_dump(lineage.spec, sort_keys=False, allow_unicode=True))
