"""The home of all low-resource trainings, and their scores on two test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.config.corpus_spec import TestSpec
from continual_mt.config.loading import validate
from continual_mt.config.spec import ParentSpec
from continual_mt.evaluation.significance import compare
from experiments import run
from experiments.low_resource.settings import (
    ADDITIONS,
    ALONE_TRAINING,
    BEAM,
    CHOSEN_ON,
    COMPARED,
    DROPOUTS,
    HALF,
    JOINT,
    JOINT_TRAINING,
    PARENT_OF,
    PARENT_TRAINING,
    PARENTS,
    RESOURCES,
    SAMPLING_TEMPERATURE,
    SYSTEMS,
    TESTS,
    TRAINING,
    side_of,
)
from experiments.low_resource.text import files
from experiments.run import Row, best_value, of_scores, of_training, timed
from registry import ParentRecord
from registry.corpora import ResolvedTest, read_test
from registry.evaluation import evaluate

RESULTS = Path(__file__).with_name("results.jsonl")


class Run(run.Run):
    """Trains and scores in ``FOLDER/home``, on the text in ``data/tatoeba`` and ``data/lowresource``."""

    def __init__(self, data: Path, folder: Path, results: Path = RESULTS) -> None:
        super().__init__(folder / "home", results, BEAM)
        self.data = data

    def corpus(self, pair: str, part: str) -> dict[str, str]:
        return files(self.data, pair, part)

    def texts(self, pair: str) -> dict[str, Any]:
        """The keys of a spec that name a pair and its text."""
        return {"pair": pair, "train": self.corpus(pair, "train"), "dev": self.corpus(pair, "dev")}

    def test_set(self, pair: str, name: str) -> ResolvedTest:
        """The test set of the domain or FLORES."""
        return read_test(TestSpec.model_validate({"pair": pair, **self.corpus(pair, name)}), self.home.cache)

    def parent(self, name: str) -> None:
        """Train a parent on everyday sentences, and score its pair on them, unless that was done."""
        pair = PARENTS[name]
        made = self._made_parent({"name": name, **self.texts(pair), "training": PARENT_TRAINING})
        labels = {"part": "parent", "parent": name, "pair": pair}
        if not self.is_known(**labels):
            recipe = self.driver.registry.recipe_catalog.recipe(*pair.split("-"), parent=name, kind="original")
            self.append({**made, **labels, **self.scored(recipe)})

    def _made_parent(self, values: Mapping[str, Any]) -> Row:
        """Train a parent unless it exists; returns the labels of what it took."""
        common = {"beam": BEAM, "resources": RESOURCES}
        spec = validate(ParentSpec, {**common, **values}, origin=str(values["name"]), base=self.data)
        with timed() as taken:
            outcome = self.driver.train_parent(spec)
        assert isinstance(outcome.record, ParentRecord)
        return {"bytes": outcome.record.bytes, **of_training(taken, outcome.ending)}

    def trained(self, pair: str, system: str, dropout: float, seed: int = 1) -> Row:
        """The row of a system on the development text of its pair, which is trained unless it is known."""
        labels = {"part": "dev", "pair": pair, "system": system, "dropout": dropout, "seed": seed}
        if not self.is_known(**labels):
            make = self._made_addition if system in ADDITIONS else self._made_whole
            self.append({**make(pair, system, dropout, seed), **labels})
        return self.found(**labels)[0]

    def _made_addition(self, pair: str, system: str, dropout: float, seed: int) -> Row:
        chosen = ADDITIONS[system]
        values = {
            "parent": PARENT_OF[pair],
            **self.texts(pair),
            "seed": seed,
            "beam": BEAM,
            "resources": RESOURCES,
            "training": {**TRAINING, "dropout": dropout, **chosen.training},
            **chosen.keys,
        }
        return self.train(values)[1]

    def _made_whole(self, pair: str, system: str, dropout: float, seed: int) -> Row:
        """A model of the pair alone, or of the parent's pair, too."""
        name = f"{system}-{pair}-{dropout}-{seed}"
        keys = self._joint(pair) if system == JOINT else {**self.texts(pair), "training": ALONE_TRAINING}
        training = {**keys["training"], "dropout": dropout}
        return {"parent": name, **self._made_parent({"name": name, "seed": seed, **keys, "training": training})}

    def _joint(self, pair: str) -> dict[str, Any]:
        """The keys of one model of two pairs, whose checkpoint is the best of the small one.

        The languages of an end share a table, of the default size for both texts together.
        """
        return {
            "pairs": [self.texts(PARENTS[PARENT_OF[pair]]), self.texts(pair)],
            "development_pairs": [pair],
            "sampling_temperature": SAMPLING_TEMPERATURE,
            "training": JOINT_TRAINING,
        }

    def recipe(self, row: Row) -> AnyRecipe:
        """How the system of a row translates its pair."""
        catalog, languages = self.driver.registry.recipe_catalog, row["pair"].split("-")
        if row["system"] not in ADDITIONS:
            return catalog.recipe(*languages, parent=row["parent"], kind="original")
        parent = PARENT_OF[row["pair"]]
        return catalog.recipe(*languages, parent=parent, modules=[row["module"]], kind="supervised")

    def tested(self, row: Row) -> None:
        """Score a system on both test sets, unless that was done."""
        for name in TESTS:
            labels: dict[str, Any] = {key: row[key] for key in ("pair", "system", "dropout", "seed")}
            labels |= {"part": "test", "text": name}
            if not self.is_known(**labels):
                test = self.test_set(row["pair"], name)
                scores = evaluate(self.driver.registry, self.recipe(row), test, self.beam).scores
                made = {key: value for key, value in row.items() if key in ("module", "parent")}
                self.append({**labels, **made, **of_scores(scores)})

    def pair(self, pair: str, systems: Sequence[str] = SYSTEMS) -> None:
        """Train and test systems of a pair, with the dropout that suits the pair it is chosen on."""
        self.parent(PARENT_OF[pair])
        for system in systems:
            rows = {dropout: self.trained(CHOSEN_ON[side_of(pair)], system, dropout) for dropout in DROPOUTS}
            self.tested(self.trained(pair, system, best_value(rows)))
        self.compared(pair)

    def compared(self, pair: str) -> None:
        """Compare ``half`` with the other systems that are tested, by paired bootstrap resampling."""
        for text in TESTS:
            found = {row["system"]: row for row in self.found(part="test", pair=pair, text=text)}
            test = self.test_set(pair, text)
            for other in COMPARED:
                labels = {"part": "significance", "pair": pair, "text": text, "first": other, "second": HALF}
                if HALF not in found or other not in found or self.is_known(**labels):
                    continue
                first, second = (self.hypotheses(self.recipe(found[name]), test) for name in (other, HALF))
                results = compare(first, second, test.references, test.pair.target, ("bleu", "chrf"))
                values = {f"{one.metric}_difference": round(one.difference, 2) for one in results}
                self.append({**labels, **values, **{f"{one.metric}_p": round(one.p_value, 4) for one in results}})
