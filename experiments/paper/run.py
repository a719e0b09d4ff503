"""The home of all trainings of the paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.config.loading import validate
from continual_mt.config.spec import ParentSpec
from continual_mt.languages import Pair
from experiments import run
from experiments.paper.settings import ARCHITECTURE, BEAM, PARENT_TRAINING, PARENTS, RESOURCES, Rates, Setting
from experiments.run import Row, of_training, timed
from experiments.texts import cut_multi30k

RESULTS = Path(__file__).with_name("results.jsonl")


class Run(run.Run):
    """Trains on the captions in ``FOLDER/texts``, which are cut from those in ``data/multi30k`` at first."""

    def __init__(self, data: Path, folder: Path, results: Path = RESULTS) -> None:
        super().__init__(folder / "home", results, BEAM)
        self.data, self.texts = data, folder / "texts"
        if not self.texts.exists():
            cut_multi30k(data / "multi30k", self.texts)

    def corpus(self, pair: str, part: str) -> dict[str, str]:
        """The keys of a corpus: ``part`` is a folder with training text, dev or test."""
        name = part if part in ("dev", "test") else f"{part}/train"
        source, target = pair.split("-")
        return {"source": str(self.texts / f"{name}.{source}"), "target": str(self.texts / f"{name}.{target}")}

    def parent(self, name: str) -> None:
        """Train a parent of fr-en, unless it is there."""
        made = self._made_parent(name, "fr-en", PARENTS[name])
        if not self.is_known(part="parent", parent=name):
            self.append({"part": "parent", "parent": name, **made})

    def parent_of(self, pair: str, text: str) -> tuple[str, Row]:
        """Train a model of a pair alone, unless it is there; returns its name and the labels of what it took."""
        name = f"{pair}-{text}"
        return name, self._made_parent(name, pair, text)

    def _made_parent(self, name: str, pair: str, text: str) -> Row:
        values = {
            "name": name,
            "pair": pair,
            "train": self.corpus(pair, text),
            "dev": self.corpus(pair, "dev"),
            "training": PARENT_TRAINING,
            "architecture": ARCHITECTURE,
            "resources": RESOURCES,
        }
        with timed() as taken:
            outcome = self.driver.train_parent(validate(ParentSpec, values, origin=name, base=self.texts))
        return of_training(taken, outcome.ending)

    def trained(self, setting: Setting, rates: Rates) -> Row:
        """The row of a training, which is done unless it is known."""
        labels: dict[str, Any] = {"part": setting.part, **setting.labels(rates)}
        if known := self.found(**labels):
            return known[0]
        text = {"train": self.corpus(setting.pair, setting.text), "dev": self.corpus(setting.pair, "dev")}
        _, made = self.train({**setting.keys(rates), **text})
        self.append({**made, **labels})
        return self.found(**labels)[0]

    def tested(self, row: Row, pair: str, kind: str, modules: Sequence[str]) -> None:
        """Score a pair with these modules on its test set, unless that was done.

        ``row`` has the labels of a table's row.
        """
        labels = {"part": "test", **row, "pair": pair, "kind": kind, "modules": list(modules)}
        if self.is_known(**labels):
            return
        catalog, parent = self.driver.registry.recipe_catalog, row["parent"]
        recipe: AnyRecipe
        if kind == "retention":
            found = catalog.recipes(parent, modules=modules, pairs=[Pair.parse(pair)])
            (recipe,) = (one for one in found if one.kind == kind and modules[0] in {key.name for key in one.modules})
        else:
            recipe = catalog.recipe(*pair.split("-"), parent=parent, modules=modules, kind=kind)
        self.append({**self.scored(recipe), **labels})
