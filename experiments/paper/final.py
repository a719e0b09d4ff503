"""The rows of the tables: all pairs with the rates that were found, scored once on the test set."""

from __future__ import annotations

from dataclasses import replace

from continual_mt.config.hyperparameters import Initialisation
from continual_mt.languages import NewSide
from continual_mt.model.scopes import Scope
from experiments.paper.run import Run
from experiments.paper.search import best_rates
from experiments.paper.settings import DROPOUTS, PAIRS, SEARCHED, SEEDS, SETTINGS, TEXTS, ZERO_SHOT, Setting
from experiments.run import Row


def final(run: Run, table: str) -> None:
    """Train and test the pairs of each setting, and then its zero-shot pairs."""
    parent, _ = TEXTS[table]
    run.parent(parent)
    for scope, start in SETTINGS:
        for seed in SEEDS.get((scope, start), (1,)):
            modules = {pair: str(addition(run, table, pair, scope, start, seed)["module"]) for pair in PAIRS}
            setting = Setting(parent, PAIRS[0], table, scope, start, seed)
            for pair, name in modules.items():
                run.tested(setting, pair, "supervised", [name])
                if scope not in (
                    "scratch",
                    "embeddings",
                ):  # one shares nothing with the parent, the other changes nothing
                    run.tested(setting, "fr-en", "retention", [name])
            for pair, joined in ZERO_SHOT.items() if scope not in ("scratch", "body") else ():
                run.tested(setting, pair, "zero-shot", [modules[one] for one in joined])


def addition(run: Run, table: str, pair: str, scope: Scope, start: Initialisation, seed: int) -> Row:
    """Train an addition with the rates and the dropout of the pair that they are searched on."""
    parent, texts = TEXTS[table]
    side: NewSide = "source" if pair.endswith("-en") else "target"
    searched = Setting("paper-full", SEARCHED[side], "full", scope, start)
    rates = best_rates(run, searched)
    setting = Setting(parent, pair, texts[side], scope, start, seed)
    if table == "3k":
        chosen_on = replace(setting, pair=SEARCHED[side], seed=1)
        rows = {dropout: run.trained(replace(chosen_on, dropout=dropout), rates) for dropout in DROPOUTS}
        best = max(rows, key=lambda dropout: (not rows[dropout]["at_limit"], rows[dropout]["dev"]))
        setting = replace(setting, dropout=best)
    return run.trained(setting, rates)
