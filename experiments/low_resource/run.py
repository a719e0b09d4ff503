"""The home of all low-resource trainings, and their scores on two test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from continual_mt.config.corpus_spec import TestSpec
from continual_mt.config.loading import validate
from continual_mt.config.spec import ParentSpec
from experiments import run
from experiments.low_resource.settings import (
    BEAM,
    CHOSEN_ON,
    DROPOUTS,
    PARENT_OF,
    PARENT_TRAINING,
    PARENTS,
    RESOURCES,
    SYSTEMS,
    TRAINING,
)
from experiments.low_resource.text import files
from experiments.run import Row, best_value, of_scores, of_training, timed
from registry.corpora import read_test
from registry.evaluation import evaluate

RESULTS = Path(__file__).with_name("results.jsonl")


class Run(run.Run):
    """Trains and scores in ``FOLDER/home``, on the text in ``data/tatoeba`` and ``data/lowresource``."""

    def __init__(self, data: Path, folder: Path, results: Path = RESULTS) -> None:
        super().__init__(folder / "home", results, BEAM)
        self.data = data

    def corpus(self, pair: str, part: str) -> dict[str, str]:
        return files(self.data, pair, part)

    def parent(self, name: str) -> None:
        """Train a parent on everyday sentences, and score its pair on them, unless that was done."""
        pair = PARENTS[name]
        values = {
            "name": name,
            "pair": pair,
            "train": self.corpus(pair, "train"),
            "dev": self.corpus(pair, "dev"),
            "training": PARENT_TRAINING,
            "resources": RESOURCES,
            "beam": BEAM,
        }
        with timed() as taken:
            outcome = self.driver.train_parent(validate(ParentSpec, values, origin=name, base=self.data))
        labels = {"part": "parent", "parent": name, "pair": pair}
        if not self.is_known(**labels):
            recipe = self.driver.registry.recipe_catalog.recipe(*pair.split("-"), parent=name, kind="original")
            self.append({**labels, **of_training(taken, outcome.ending), **self.scored(recipe)})

    def added(self, pair: str, system: str, dropout: float, seed: int = 1) -> Row:
        """The row of an addition on its development text, which is trained unless it is known."""
        labels = {"part": "dev", "pair": pair, "system": system, "dropout": dropout, "seed": seed}
        if known := self.found(**labels):
            return known[0]
        chosen = SYSTEMS[system]
        values = {
            "parent": PARENT_OF[pair],
            "pair": pair,
            "train": self.corpus(pair, "train"),
            "dev": self.corpus(pair, "dev"),
            "seed": seed,
            "beam": BEAM,
            "resources": RESOURCES,
            "training": {**TRAINING, "dropout": dropout, **chosen.training},
            **chosen.keys,
        }
        _, made = self.train(values)
        self.append({**made, **labels})
        return self.found(**labels)[0]

    def tested(self, row: Row) -> None:
        """Score an addition on the test set of its domain and on FLORES, unless that was done."""
        pair = str(row["pair"])
        recipe = self.driver.registry.recipe_catalog.recipe(
            *pair.split("-"), parent=PARENT_OF[pair], modules=[row["module"]], kind="supervised"
        )
        for name in ("test", "flores"):
            labels: dict[str, Any] = {key: row[key] for key in ("pair", "system", "dropout", "seed")}
            labels |= {"part": "test", "text": name}
            if not self.is_known(**labels):
                spec = TestSpec.model_validate({"pair": pair, **self.corpus(pair, name)})
                scores = evaluate(self.driver.registry, recipe, read_test(spec, self.home.cache), self.beam).scores
                self.append({**labels, "module": row["module"], **of_scores(scores)})

    def pair(self, pair: str) -> None:
        """Train and test all systems of a pair, with the dropout that suits the pair it is chosen on."""
        self.parent(PARENT_OF[pair])
        side = "source" if pair.endswith("-en") else "target"
        for system in SYSTEMS:
            rows = {dropout: self.added(CHOSEN_ON[side], system, dropout) for dropout in DROPOUTS}
            self.tested(self.added(pair, system, best_value(rows)))
