"""What all parts share: the text, a home for each chain, and the rows of results."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.config.corpus_spec import TestSpec
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec
from continual_mt.home import Home
from continual_mt.inference.pivot_model import one_line
from experiments.many.settings import ADDITION_TRAINING, BEAM, COMMON, PARENT, SEED
from experiments.many.text import train_name
from ray_jobs.driver import Driver
from registry import ModuleRecord, ScoreRecord
from registry.corpora import ResolvedTest, read_test
from registry.evaluation import NotedLogits, computed_on, evaluate, register_evaluation

RESULTS = Path(__file__).with_name("results.jsonl")
Row = dict[str, Any]


def read_rows(path: Path = RESULTS) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


class Run:
    """One chain of trainings in its home, ``FOLDER/NAME``, on the text in ``FOLDER/text``.

    ``start`` is the parent's language that the embeddings of new languages start from.
    """

    def __init__(self, folder: Path, name: str, start: str = "en", results: Path = RESULTS) -> None:
        self.start = start
        self.folder, self.text, self.home = folder, folder / "text", Home.resolve(folder / name)
        self.driver = Driver(self.home, in_process=True)
        self.results = results

    @cached_property
    def tests(self) -> dict[str, ResolvedTest]:
        """The test sets that were read, by pair."""
        return {}

    def test(self, pair: str) -> ResolvedTest:
        if pair not in self.tests:
            spec = TestSpec.model_validate({"pair": pair, **self.corpus(pair, "test")})
            self.tests[pair] = read_test(spec, self.home.cache)
        return self.tests[pair]

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
        values = {"parent": PARENT, "training": ADDITION_TRAINING, **COMMON, **self.keys(pair), **keys}
        spec = validate(AdditionSpec, values, origin=pair, base=self.text)
        with timed() as taken:
            record = self.driver.run(self.driver.resolve(spec)).record
        assert isinstance(record, ModuleRecord)
        return record, {**of_module(record), **taken}

    def recipe(self, pair: str, kind: str, modules: Sequence[str] = ()) -> AnyRecipe:
        catalog = self.driver.registry.recipe_catalog
        return catalog.recipe(*pair.split("-"), parent=PARENT, kind=kind, modules=modules)

    def scored(self, recipe: AnyRecipe) -> Row:
        """Score a recipe on its pair's test set, unless that was done, and register the scores.

        A pivot's second leg translates what the first one wrote when it was scored.
        """
        registry, test = self.driver.registry, self.test(str(recipe.pair))
        known = [score for score in registry.scores(recipe=recipe.digest) if score.test_digest == test.digest]
        if known:
            return {"kind": recipe.kind, **of_scores(known)}
        with timed() as taken:
            if isinstance(recipe, Pivot):
                middle = [one_line(line) for line in self.hypotheses(recipe.first)]
                found = registry.run(recipe.second).translate(middle, beam=BEAM)
                scores = register_evaluation(registry, recipe, test, BEAM, found, NotedLogits(None, computed_on()))
            else:
                scores = evaluate(registry, recipe, test, BEAM)
        return {"kind": recipe.kind, **of_scores(scores.scores), "scoring_seconds": taken["seconds"]}

    def hypotheses(self, recipe: AnyRecipe) -> list[str]:
        """The translations that a recipe's scores were measured on."""
        digest = self.test(str(recipe.pair)).digest
        scores = self.driver.registry.scores(recipe=recipe.digest)
        (blob, *_) = (score.hypotheses for score in scores if score.test_digest == digest)
        return self.driver.registry.texts.read(blob or "")

    def is_known(self, **labels: Any) -> bool:
        """Whether a result with these labels was measured, by this process or another."""
        return any(all(row.get(key) == value for key, value in labels.items()) for row in read_rows(self.results))

    def append(self, row: Row) -> None:
        """Append one result, with the seed and the machine."""
        row = {**row, "seed": SEED, "machine": computed_on().partition(";")[0]}
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@contextmanager
def timed() -> Iterator[Row]:
    """Yield a row that gets the seconds by the clock, and those of the processor, without those of other processes."""
    taken: Row = {}
    clock, processor = time.monotonic(), time.process_time()
    yield taken
    taken["seconds"] = round(time.monotonic() - clock, 1)
    taken["processor_seconds"] = round(time.process_time() - processor, 1)


def of_module(record: ModuleRecord) -> Row:
    """The labels of a module: its scope, updates, bytes, and what it was computed in."""
    spec, environment = record.lineage.spec or {}, record.lineage.environment or {}
    training = spec.get("training")
    return {
        "module": record.full_name,
        "scope": record.scope,
        "updates": training.get("updates") if isinstance(training, dict) else None,
        "bytes": record.bytes,
        "computed_in": environment.get("precision"),
    }


def of_scores(scores: Sequence[ScoreRecord]) -> Row:
    """The scores of one recipe by metric, and the off-target rate of the references."""
    row: Row = {score.metric: round(score.value, 2) for score in scores}
    for score in scores:
        if score.reference_value is not None:
            row["offtarget_references"] = round(score.reference_value, 2)
    return {**row, "sentences": scores[0].sentences}
