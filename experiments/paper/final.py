"""The rows of the tables: all pairs with the rates that were found, scored once on the test set."""

from __future__ import annotations

from dataclasses import replace

from continual_mt.config.hyperparameters import Initialisation
from continual_mt.model.scopes import Scope
from experiments.paper.run import Run
from experiments.paper.search import best_rates
from experiments.paper.settings import (
    DROPOUTS,
    PAIRS,
    PARENTS,
    SEARCHED,
    SEEDS,
    SETTINGS,
    TEXTS,
    WITHOUT_RETENTION,
    ZERO_SHOT,
    Setting,
    side_of,
)
from experiments.run import Row, best_value


def final(run: Run, table: str) -> None:
    """Train and test the pairs of each setting, and then its zero-shot pairs."""
    parent, _ = TEXTS[table]
    run.parent(parent)
    for scope, start in SETTINGS:
        for seed in SEEDS.get((scope, start), (1,)):
            modules = {pair: str(addition(run, table, pair, scope, start, seed)["module"]) for pair in PAIRS}
            labels = {"table": table, "parent": parent, "scope": scope, "start": start, "seed": seed}
            for pair, name in modules.items():
                run.tested(labels, pair, "supervised", [name])
                if scope not in WITHOUT_RETENTION:
                    run.tested(labels, "fr-en", "retention", [name])
            for pair, joined in ZERO_SHOT.items() if scope not in ("scratch", "body") else ():
                run.tested(labels, pair, "zero-shot", [modules[one] for one in joined])


def originals(run: Run) -> None:
    """Score the pair of each parent: what retention is a share of."""
    for name in PARENTS:
        run.parent(name)
        labels = {"part": "original", "parent": name, "pair": "fr-en"}
        if not run.is_known(**labels):
            recipe = run.driver.registry.recipe_catalog.recipe("fr", "en", parent=name, kind="original")
            run.append({**run.scored(recipe), **labels})


def addition(run: Run, table: str, pair: str, scope: Scope, start: Initialisation, seed: int) -> Row:
    """Train an addition with the rates and the dropout of the pair that they are searched on."""
    parent, texts = TEXTS[table]
    side = side_of(pair)
    rates = best_rates(run, Setting("paper-full", SEARCHED[side], "full", scope, start))
    setting = Setting(parent, pair, texts[side], scope, start, seed)
    if table == "3k":
        chosen_on = replace(setting, pair=SEARCHED[side], seed=1)
        rows = {dropout: run.trained(replace(chosen_on, dropout=dropout), rates) for dropout in DROPOUTS}
        setting = replace(setting, dropout=best_value(rows))
    return run.trained(setting, rates)
