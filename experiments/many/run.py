"""One chain of trainings in its home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe
from experiments import run
from experiments.many.settings import ADDITION_TRAINING, BEAM, COMMON, PARENT, SEED
from experiments.many.text import train_name
from experiments.run import Row
from registry import ModuleRecord

RESULTS = Path(__file__).with_name("results.jsonl")


class Run(run.Run):
    """One chain of trainings in its home, ``FOLDER/NAME``, on the text in ``FOLDER/text``.

    ``start`` is the parent's language that the embeddings of new languages start from.
    """

    def __init__(self, folder: Path, name: str, start: str = "en", results: Path = RESULTS) -> None:
        super().__init__(folder / name, results, BEAM)
        self.start, self.text = start, folder / "text"

    def corpus(self, pair: str, part: str) -> dict[str, str]:
        """The keys of a corpus: ``part`` is train, dev or test."""
        name = train_name(pair) if part == "train" else part
        source, target = pair.split("-")
        return {"source": str(self.text / f"{name}.{source}"), "target": str(self.text / f"{name}.{target}")}

    def keys(self, pair: str) -> dict[str, Any]:
        """The keys of a spec that name a pair and its text."""
        return {"pair": pair, "train": self.corpus(pair, "train"), "dev": self.corpus(pair, "dev")}

    def add(self, pair: str, **keys: Any) -> tuple[ModuleRecord, Row]:
        """Train an addition without scoring it; returns its module and the labels of what it took."""
        return self.train({"parent": PARENT, "training": ADDITION_TRAINING, **COMMON, **self.keys(pair), **keys})

    def recipe(self, pair: str, kind: str, modules: Sequence[str] = ()) -> AnyRecipe:
        catalog = self.driver.registry.recipe_catalog
        return catalog.recipe(*pair.split("-"), parent=PARENT, kind=kind, modules=modules)

    def append(self, row: Row) -> None:
        """Append one result, with the seed and the machine."""
        super().append({**row, "seed": SEED})
