"""``continual-mt registry list``, ``registry show`` and ``registry upgrade``, beside the group's other verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from continual_mt.cli.registry import names as registry_names
from continual_mt.cli.registry import search as registry_search
from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry import Annotations, ModuleRecord, ParentRecord, Registry, ScoreRecord

app = options.group("Parents and modules: what they store and where they come from.")


@app.callback()
def registry() -> None:
    pass


@app.command("list", epilog=options.examples("continual-mt registry list", "continual-mt registry list --json"))
def list_all(
    deleted: Annotated[bool, typer.Option("--deleted", help="List what was deleted, by whom and when.")] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """List parents and modules with what they store, their aliases and tags.

    A module's share is of its parent's parameters.
    """
    from dashboards.tables.artifacts import storage_table
    from registry import Registry

    if deleted:
        _list_deleted(home, as_json)
        return
    with Registry.open(Home.resolve(home).path) as opened:
        parents, modules = opened.parents(), opened.modules()
        annotations = {
            name: found for parent in parents for name, found in opened.annotations.of_parent(parent.name).items()
        }
    if as_json:
        print_json(
            {
                "parents": [_described(parent, annotations.get(parent.name)) for parent in parents],
                "modules": [_described(module, annotations.get(module.full_name)) for module in modules],
            }
        )
    elif parents:
        print_table(storage_table(parents, modules, created=True, annotations=annotations))
    else:
        say("the registry is empty; train a parent with 'continual-mt parent train'")


def _list_deleted(home: options.Home, as_json: bool) -> None:
    from dashboards.tables.annotations import found_table
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as opened:
        found = opened.annotations.search("deleted=true", limit=None).found
    if as_json:
        print_json([one.to_json() for one in found])
    elif found:
        print_table(found_table(found))
    else:
        say("nothing is deleted")


def _described(record: ParentRecord | ModuleRecord, annotations: Annotations | None) -> dict[str, object]:
    from registry import Annotations

    return {**record.to_json(), **(annotations or Annotations()).to_json()}


@app.command(epilog=options.examples("continual-mt registry show fr-en", "continual-mt registry show de-en:1 --json"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A parent, or a module: de-en, de-en:1, de-en@champion.")],
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Show everything about one parent or module.

    What it stores, its corpora and their licences, its spec and run, its scores and its annotations. In '--json',
    "lineage" holds what it was made from as typed fields: "inputs" (role, module, digest, recipe), "replay" (share of
    batches from replayed pairs) and "environment" (versions and machine that trained it). "start" tells how the
    embeddings of a module started: how many types from what, and the most frequent with the parent's nearest.
    """
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as opened:
        record = opened.catalog.find(name)
        scores, annotations = _scores_of(opened, record), opened.annotations.of(record)
        start = opened.start_of(record)
    if as_json:
        about = {**_described(record, annotations), "start": start}
        print_json({**about, "scores": [score.to_json() for score in scores]})
    else:
        _print(record, scores, annotations, start)


@app.command(epilog=options.examples("continual-mt registry upgrade --home /data/home"))
def upgrade(home: options.Home = None, as_json: options.Json = False) -> None:
    """Upgrade the tables of a registry that an older version wrote.

    Make a copy of the database first. A registry that is up to date is unchanged.
    """
    from registry import Registry
    from registry.database.migration import revisions

    newest = revisions()[-1]
    with Registry.open(Home.resolve(home).path, upgrade=True) as opened:
        name, before = opened.name, opened.database.upgraded_from
    if as_json:
        print_json({"registry": name, "from": before, "to": newest})
    elif before is None:
        say(f"{name} has the tables of this version already (schema {newest}); nothing was changed")
    else:
        say(f"{name} has the tables of this version now: schema {newest} instead of {before}")


def _scores_of(opened: Registry, record: ParentRecord | ModuleRecord) -> list[ScoreRecord]:
    """Of a parent the scores of all that belongs to it, of a module those of the recipes that use it."""
    from registry import ModuleRecord

    if isinstance(record, ModuleRecord):
        return opened.scores(parent=record.parent, module=record.full_name)
    return opened.scores(parent=record.name)


def _print(
    record: ParentRecord | ModuleRecord,
    scores: list[ScoreRecord],
    annotations: Annotations,
    start: dict[str, Any] | None,
) -> None:
    from dashboards.tables.annotations import annotation_facts, moves_table
    from dashboards.tables.artifacts import (
        corpora_table,
        languages_of,
        results_table,
        start_table,
        stored_size,
        time_of,
    )
    from registry import ModuleRecord

    lineage = record.lineage
    facts = {"parameters": f"{record.parameters:,}", "stored": stored_size(record), "precision": record.precision}
    if isinstance(record, ModuleRecord):
        facts = {
            "module": record.full_name,
            "pair": str(record.pair),
            **facts,
            "new side": record.new_sides,
        }
        facts |= {
            "scope": f"{record.scope}{', shared' if record.shared else ''}",
            "initialisation": f"{record.initialisation}{', untrained' if record.untrained else ''}",
            "digest": record.digest,
            "parent's fingerprint": record.parent_fingerprint,
        }
    else:
        languages = {"languages" if record.languages.several else "pair": languages_of(record)}
        facts = {"parent": record.name, **languages, **facts, "fingerprint": record.fingerprint}
        facts |= {"vocabularies": record.vocabularies}
        facts |= {"architecture": ", ".join(f"{key} {value}" for key, value in record.architecture.items())}
    facts |= {"created": time_of(record), "code version": lineage.code_version}
    if lineage.imported:
        facts |= {"imported from": lineage.imported.described}
    if lineage.inputs:
        facts |= {"made from": ", ".join(f"{one.module or one.recipe} ({one.role})" for one in lineage.inputs)}
    if lineage.replay is not None:
        facts |= {"replay": str(lineage.replay)}
    facts |= {"MLflow run": lineage.run or "none", "job": lineage.job or "none"}
    print_text("".join(f"{key}: {value}\n" for key, value in [*facts.items(), *annotation_facts(annotations)]))
    tables = [("corpora", corpora_table(lineage)), ("scores", results_table(scores))]
    for title, table in [*tables, *([("alias history", moves_table(annotations.moves))] if annotations.moves else [])]:
        print_text(f"\n{title}:{'' if table.rows else ' none'}\n")
        if table.rows:
            print_table(table)
    if start is not None:
        types = ", ".join(f"{origin} {count:,}" for origin, count in start["types"].items())
        print_text(f"\nstart, types by origin: {types}\n")
        print_table(start_table(start))
    for title, values in (("environment", lineage.environment), ("spec", lineage.spec)):
        if values:
            print_text(f"\n{title}:\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


app.command(epilog=registry_search.SEARCH_EPILOG)(registry_search.search)
app.command(epilog=registry_search.LINEAGE_EPILOG)(registry_search.lineage)
app.command(epilog=registry_names.ALIAS_EPILOG)(registry_names.alias)
app.command(epilog=registry_names.TAG_EPILOG)(registry_names.tag)
app.command(epilog=registry_names.NOTE_EPILOG)(registry_names.note)
app.command(epilog=registry_names.DELETE_EPILOG)(registry_names.delete)
app.command(epilog=registry_names.RESTORE_EPILOG)(registry_names.restore)
