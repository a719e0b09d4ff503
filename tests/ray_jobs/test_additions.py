"""The main job with its MLflow runs: a parent, a sequence of additions, zero-shot, retention, and finished work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from continual_mt.config.spec import AdditionSpec
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.home import Home
from ray_jobs import Driver, Outcome, add, add_sequence
from registry import Registry
from tests.ray_jobs.conftest import TrainedSequence, logits_digest

pytestmark = pytest.mark.slow

Values = dict[str, Any]
UPDATES = 8


@dataclass(frozen=True)
class Tracked:
    """The MLflow runs of a home."""

    home: Path

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=Home(self.home).tracking)

    def runs(self) -> dict[str, Run]:
        """By name."""
        (experiment,) = [found for found in self.client.search_experiments() if found.name == "es-en"]
        return {run.info.run_name: run for run in self.client.search_runs([experiment.experiment_id])}

    def table(self, run: str, file: str) -> list[Values]:
        """A table that was kept as an artifact, as rows."""
        path = Path(self.client.download_artifacts(run, file))
        table = json.loads(path.read_text(encoding="utf-8"))
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


@pytest.fixture(scope="module")
def done(trained_sequence: TrainedSequence) -> TrainedSequence:
    return trained_sequence


@pytest.fixture(scope="module")
def tracked(done: TrainedSequence) -> Tracked:
    return Tracked(done.home)


def test_the_parent_is_registered_with_where_it_came_from(trained_home: tuple[Path, Outcome]) -> None:
    home, outcome = trained_home
    assert outcome.trained_now
    with Registry.open(home) as registry:
        (parent,) = registry.parents()
        assert parent == outcome.record
        assert [corpus.sentences > 0 for _, corpus in parent.lineage.corpora] == [True, True, True]
        scores = registry.scores()
        assert {(str(score.pair), score.kind, score.metric) for score in scores} == {
            ("es-en", "original", metric) for metric in METRICS
        }
    assert list(Home(home).jobs.iterdir()) == []


def test_each_addition_is_registered_once(done: TrainedSequence) -> None:
    assert [outcome.name for outcome in done.outcomes] == ["es-en/pt-en:1", "es-en/es-de:1"]
    assert all(outcome.trained_now for outcome in done.outcomes)
    with Registry.open(done.home) as registry:
        modules = {module.full_name: module for module in registry.modules()}
        assert set(modules) == {"es-en/pt-en:1", "es-en/es-de:1"}
        assert modules["es-en/pt-en:1"].side == "source"
        assert modules["es-en/es-de:1"].side == "target"
        for outcome in done.outcomes:
            assert modules[outcome.name].lineage.run == outcome.run


def test_every_pair_is_scored_the_zero_shot_one_too(done: TrainedSequence) -> None:
    with Registry.open(done.home) as registry:
        scored = {
            (str(score.pair), score.kind, score.cross_attention)
            for score in registry.scores()
            if score.metric == "bleu"
        }
        assert scored == {
            ("es-en", "original", None),
            ("pt-en", "supervised", "es-en/pt-en:1"),
            ("es-de", "supervised", "es-en/es-de:1"),
            ("pt-de", "zero-shot", "es-en/es-de:1"),
            ("es-en", "retention", "es-en/pt-en:1"),
            ("es-en", "retention", "es-en/es-de:1"),
            ("pt-en", "retention", "es-en/es-de:1"),
        }
        model = registry.assemble("pt", "de")
        assert model.recipe is not None
        assert model.recipe.kind == "zero-shot"
        assert len(model.translate(["Português Brasileiro", ""])) == 2


def test_the_original_pair_is_bit_equal(done: TrainedSequence, corpora: Path) -> None:
    assert len(done.logits_before) == 64
    assert logits_digest(done.home, corpora) == done.logits_before


def test_one_experiment_a_parent_and_one_run_a_piece_of_work(done: TrainedSequence, tracked: Tracked) -> None:
    runs = tracked.runs()
    assert set(runs) == {"parent es-en", "pt-en xattn", "es-de xattn", "sequence both"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    addition = runs["pt-en xattn"]
    assert addition.info.run_id == done.outcomes[0].run
    assert addition.data.tags["sequence"] == "both"
    assert addition.data.tags["registered"] == "es-en/pt-en:1"
    assert addition.data.params["updates"] == str(UPDATES)
    for metric in ("loss", "lr", "tokens_per_second", "development_bleu"):
        steps = [point.step for point in tracked.client.get_metric_history(addition.info.run_id, metric)]
        assert steps == [UPDATES // 2, UPDATES], metric


def run_metrics(tracked: Tracked, run: str) -> dict[str, float]:
    return dict(tracked.client.get_run(run).data.metrics)


def test_spec_scores_and_samples_are_on_the_run(done: TrainedSequence, tracked: Tracked) -> None:
    run = done.outcomes[1].run
    assert run is not None
    spec = Path(tracked.client.download_artifacts(run, "spec.json"))
    assert AdditionSpec.model_validate_json(spec.read_text(encoding="utf-8")) == done.spec.additions[1]
    scores = tracked.table(run, "scores.json")
    rate = next(row for row in scores if row["pair"] == "pt-de" and row["metric"] == "offtarget")
    assert run_metrics(tracked, run)["offtarget/pt-de"] == pytest.approx(rate["value"])
    assert run_metrics(tracked, run)["offtarget_of_references/pt-de"] == pytest.approx(rate["references"])
    zero = next(row for row in scores if row["pair"] == "pt-de" and row["metric"] == "bleu")
    assert (zero["kind"], zero["test"]) == ("zero-shot", "zero")
    assert zero["signature"].startswith("nrefs:1|")
    samples = [row for row in tracked.table(run, "samples.json") if row["pair"] == "pt-de"]
    assert len(samples) == 3
    assert all(set(row) == {"pair", "kind", "source", "hypothesis", "reference"} for row in samples)


def test_a_logged_model_stands_for_each_module(done: TrainedSequence, tracked: Tracked) -> None:
    run = tracked.runs()["pt-en xattn"]
    found = tracked.client.search_logged_models([run.info.experiment_id])
    models = {model.tags["registered"]: model for model in found}
    assert set(models) == {"es-en/pt-en:1", "es-en/es-de:1"}
    model = models["es-en/pt-en:1"]
    assert (model.name, model.source_run_id) == ("es-en pt-en v1", run.info.run_id)
    with Registry.open(done.home) as registry:
        assert model.tags["digest"] == registry.module("pt-en:1").digest
    metrics = {metric.key: metric.value for metric in model.metrics or ()}
    assert metrics["bleu/pt-en"] == run.data.metrics["bleu/pt-en"]


def test_a_sequence_has_its_position_as_step(tracked: Tracked) -> None:
    run = tracked.runs()["sequence both"].info.run_id

    def steps(metric: str) -> list[int]:
        return [point.step for point in tracked.client.get_metric_history(run, metric)]

    assert steps("bleu/es-en") == [0, 1, 2]
    assert steps("bleu/pt-en") == [1, 2]
    assert steps("through/bleu/es-en") == [0, 1, 2]
    assert steps("through/chrf/pt-en") == [1, 2]
    assert steps("offtarget/es-en") == steps("offtarget_of_references/es-en") == [0, 1, 2]
    assert steps("chrf/es-de") == steps("zero_shot/pt-de") == steps("bleu/pt-de") == [2]


def test_done_before_it_only_reports(
    done: TrainedSequence, tracked: Tracked, addition_values: Callable[..., Values]
) -> None:
    before = tracked.client.search_runs([run.info.experiment_id for run in tracked.runs().values()])
    outcome = add(addition_values("pt-en"), home=done.home, in_process=True)
    assert not outcome.trained_now
    assert (outcome.record, outcome.run) == (done.outcomes[0].record, done.outcomes[0].run)
    assert outcome.evaluations == ()
    with Driver(Home(done.home), in_process=True) as driver:
        outcomes = add_sequence(driver, done.spec)
    assert [outcome.record for outcome in outcomes] == [outcome.record for outcome in done.outcomes]
    assert not any(outcome.trained_now for outcome in outcomes)
    assert len(tracked.client.search_runs([run.info.experiment_id for run in before])) == len(before)


def test_again_trains_the_next_version(
    done: TrainedSequence, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(done.home, tmp_path / "home"))
    outcome = add(addition_values("pt-en"), home=home, again=True, in_process=True)
    assert outcome.trained_now
    assert outcome.name == "es-en/pt-en:2"
    assert outcome.run != done.outcomes[0].run
    with Registry.open(home) as registry:
        first, second = registry.module("es-en/pt-en:1"), registry.module("es-en/pt-en:2")
        # The same work with the same seed, so the same content; what was there stays.
        assert first == done.outcomes[0].record
        assert (first.lineage.job, first.lineage.attempt) == (second.lineage.job, 1)
        assert second.lineage.attempt == 2
        assert first.digest == second.digest
