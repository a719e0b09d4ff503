"""``continual-mt registry search`` and ``registry lineage``."""

from __future__ import annotations

from typing import Annotated

import typer

from continual_mt.cli.registry.names import Name
from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.home import Home

SEARCH_EPILOG = options.examples(
    "continual-mt registry search 'language=de side=source scope=xattn bleu>30'",
    "continual-mt registry search 'chrf>=50 test=newstest licence=\"CC BY 4.0\" created>=2026-03-01'",
    "continual-mt registry search kind=module precision=bfloat16",
    "continual-mt registry search deleted=true --json",
)
LINEAGE_EPILOG = options.examples("continual-mt registry lineage de-en:3", "continual-mt registry lineage fr-en --json")


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FIELD=VALUE]...", help="Conditions that all have to hold; quoted for the shell."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 50,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Find parents and modules by any of their fields.

    Of text = and !=, of numbers and days also <, <=, > and >=. A metric (bleu, chrf, chrfpp, or offtarget, the
    percentage in another language) is what a module reached on its own pair, on any test set or that of test=NAME; a
    module that was not measured in it is not found. The fields: kind, name, parent, pair, source, target, language,
    side, scope, shared, version, tag, alias, corpus, licence, run, job, digest, code, created, parameters, bytes,
    precision (that of the stored weights), deleted.
    """
    from dashboards.tables.annotations import found_table
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        result = registry.annotations.search(" ".join(words or ()), limit=limit)
    if as_json:
        print_json(result.to_json())
        return
    if result.found:
        print_table(found_table(result.found))
    shown = "" if result.total == len(result.found) else f"; {len(result.found):,} are shown, --limit shows more"
    say(f"{result.total:,} found{shown}")


def lineage(name: Name, home: options.Home = None, as_json: options.Json = False) -> None:
    """Show what a parent or module was made from, and what depends on it.

    What holds it keeps it from being deleted.
    """
    from dashboards.tables.annotations import dependents_table, origins_table
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        relations = registry.annotations.lineage(name)
    if as_json:
        print_json(relations.to_json())
        return
    tables = ("made from", origins_table(relations.made_from)), ("depends on it", dependents_table(relations))
    print_text(f"{relations.name}\n")
    for title, table in tables:
        print_text(f"\n{title}:{'' if table.rows else ' nothing'}\n")
        if table.rows:
            print_table(table)
