"""``continual-mt pairs``."""

from __future__ import annotations

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, say
from continual_mt.home import Home

EPILOG = options.examples(
    "continual-mt pairs",
    "continual-mt pairs --parent fr-en --json",
    "continual-mt pairs --module de-en:2 --by-test newstest",
)


def pairs(
    parent: options.OfParent = None,
    module: options.Modules = None,
    by_test: options.ByTest = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """List every pair that can be translated.

    Shows the recipe of each pair, its best BLEU, and chrF on the same test set.
    """
    from dashboards.tables.artifacts import pairs_table
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        entries = registry.pairs(parent, modules=module or (), test=by_test)
        scores = registry.scores(parent=parent, metric="chrf")
    if as_json:
        print_json([entry.to_json() for entry in entries])
    elif entries:
        print_table(pairs_table(entries, scores))
    else:
        say("no pairs yet; train a parent with 'continual-mt parent train'")
