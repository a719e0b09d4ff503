"""What experiments share: a home, trained additions, scored recipes, and the rows of results."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
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
from ray_jobs.driver import Driver
from ray_jobs.execution.ending import Ending
from registry import ModuleRecord, ScoreRecord
from registry.corpora import ResolvedTest, read_test
from registry.evaluation import NotedLogits, computed_on, evaluate, register_evaluation

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


class Run(ABC):
    """Trains and scores in one home, in this process, and appends what is measured to a file of results."""

    def __init__(self, home: Path, results: Path, beam: int) -> None:
        self.home, self.results, self.beam = Home.resolve(home), results, beam
        self.driver = Driver(self.home, in_process=True)

    @abstractmethod
    def corpus(self, pair: str, part: str) -> dict[str, str]:
        """The keys of a corpus: ``part`` names a training text, or is dev or test."""

    @cached_property
    def tests(self) -> dict[str, ResolvedTest]:
        """The test sets that were read, by pair."""
        return {}

    def test(self, pair: str) -> ResolvedTest:
        if pair not in self.tests:
            spec = TestSpec.model_validate({"pair": pair, **self.corpus(pair, "test")})
            self.tests[pair] = read_test(spec, self.home.cache)
        return self.tests[pair]

    def train(self, values: Mapping[str, Any]) -> tuple[ModuleRecord, Row]:
        """Train an addition without scoring it; returns its module and the labels of what it took.

        One that was finished before is trained once more: its row was lost, with its development score and its times.
        """
        spec = validate(AdditionSpec, values, origin=str(values["pair"]), base=self.home.path)
        with timed() as taken:
            job = self.driver.resolve(spec)
            begun = self.driver.registry.jobs.get(job.digest)
            if is_lost := begun is not None and begun.state == "finished":
                self.driver.display.say(f"{job.title}: done before, but without a row in {self.results}: once more")
            self.driver.again = is_lost
            try:
                outcome = self.driver.run(job)
            finally:
                self.driver.again = False
        assert isinstance(outcome.record, ModuleRecord)
        made = {**of_module(outcome.record), **of_training(taken, outcome.ending)}
        return outcome.record, made if begun is None or is_lost else {**made, "continued": True}

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
                found = registry.run(recipe.second).translate(middle, beam=self.beam)
                scores = register_evaluation(registry, recipe, test, self.beam, found, NotedLogits(None, computed_on()))
            else:
                scores = evaluate(registry, recipe, test, self.beam)
        return {"kind": recipe.kind, **of_scores(scores.scores), "scoring_seconds": taken["seconds"]}

    def hypotheses(self, recipe: AnyRecipe, test: ResolvedTest | None = None) -> list[str]:
        """The translations that a recipe's scores were measured on, by default on the pair's test set."""
        digest = (test or self.test(str(recipe.pair))).digest
        scores = self.driver.registry.scores(recipe=recipe.digest)
        (blob, *_) = (score.hypotheses for score in scores if score.test_digest == digest)
        return self.driver.registry.texts.read(blob or "")

    def is_known(self, **labels: Any) -> bool:
        """Whether a result with these labels was measured, by this process or another."""
        return bool(self.found(**labels))

    def found(self, **labels: Any) -> list[Row]:
        """The results with these labels, in the order in which they were measured."""
        rows = read_rows(self.results)
        return [row for row in rows if all(row.get(key) == value for key, value in labels.items())]

    def append(self, row: Row) -> None:
        """Append one result, with the machine."""
        row = {**row, "machine": computed_on().partition(";")[0]}
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def best_value(rows: Mapping[float, Row]) -> float:
    """The value with the best development score, of those whose training no limit ended if there are any."""
    return max(rows, key=lambda value: (not rows[value]["at_limit"], rows[value]["dev"]))


@contextmanager
def timed() -> Iterator[Row]:
    """Yield a row that gets the seconds by the clock, and those of the processor, without those of other processes."""
    taken: Row = {}
    clock, processor = time.monotonic(), time.process_time()
    yield taken
    taken["seconds"] = round(time.monotonic() - clock, 1)
    taken["processor_seconds"] = round(time.process_time() - processor, 1)


def of_module(record: ModuleRecord) -> Row:
    """The labels of a module: its scope, most updates, bytes, and what it was computed in."""
    spec, environment = record.lineage.spec or {}, record.lineage.environment or {}
    training = spec.get("training")
    return {
        "module": record.full_name,
        "scope": record.scope,
        "updates": training.get("updates") if isinstance(training, dict) else None,
        "bytes": record.bytes,
        "computed_in": environment.get("precision"),
    }


def of_training(taken: Row, ending: Ending | None) -> Row:
    """The labels of what a training took and how it ended; empty if it was done before, and was only looked up."""
    return {} if ending is None else {**taken, **of_ending(ending)}


def of_ending(ending: Ending | None) -> Row:
    """The labels of how a training ended; empty if it was done before."""
    if ending is None:
        return {}
    progress = ending.progress
    best = None if progress.best_score is None else round(progress.best_score, 2)
    return {"dev": best, "best_update": progress.best_update, "ended": progress.update, "at_limit": ending.at_limit}


def of_scores(scores: Sequence[ScoreRecord]) -> Row:
    """The scores of one recipe by metric, and the off-target rate of the references."""
    row: Row = {score.metric: round(score.value, 2) for score in scores}
    for score in scores:
        if score.reference_value is not None:
            row["offtarget_references"] = round(score.reference_value, 2)
    return {**row, "sentences": scores[0].sentences}
