from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

from continual_mt.home import TRACKING_VARIABLE, Home
from ray_jobs.tracking.mlflow_tracker import FAILURES_UNTIL_QUIET, Tracker
from tests.ray_jobs.mlflow_server import started_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


@pytest.fixture
def tracked_home(home: Home, mlflow_database: Path) -> Home:
    """A home that MLflow has been used in."""
    shutil.copy(mlflow_database, home.path)
    return home


@pytest.fixture(scope="module")
def server(
    mlflow_database: Path, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with started_server(mlflow_database, free_port(), tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def keep_a_run(home: Home, messages: list[str]) -> str:
    """What a driver tells of a job that fails once and is started again."""
    first = Tracker(home, messages.append)
    run = first.start(None, experiment="es-en", name="pt-en xattn", tags={"pair": "pt-en"})
    assert run is not None
    first.parameters({"seed": 1, "train_digest": "a" * 64})
    first.metrics({"loss": 5.5, "lr": 0.1}, 20)
    first.finish("FAILED")
    again = Tracker(home, messages.append)
    assert again.start(run, experiment="es-en", name="pt-en xattn", tags={}) == run
    again.parameters({"seed": 1})
    again.metrics({"loss": 4.5, "bleu/pt-en": 12.5, "retention/es-en/through/pt-en": 3.5}, 40)
    again.tags({"registered": "es-en/pt-en:1"})
    again.text('{"pair": "pt-en"}', "spec.json")
    again.table(("pair", "value"), [("pt-en", 12.5), ("es-en", 3.5)], "scores.json")
    again.finish("FINISHED")
    return run


def assert_kept(home: Home, run: str) -> None:
    client = MlflowClient(tracking_uri=home.tracking)
    kept = client.get_run(run)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "pt-en xattn"
    assert client.get_experiment(kept.info.experiment_id).name == "es-en"
    assert kept.data.params == {"seed": "1", "train_digest": "a" * 64}
    assert kept.data.metrics["bleu/pt-en"] == 12.5
    assert kept.data.tags["pair"] == "pt-en"
    assert kept.data.tags["registered"] == "es-en/pt-en:1"
    assert [(point.step, point.value) for point in client.get_metric_history(run, "loss")] == [(20, 5.5), (40, 4.5)]
    assert {file.path for file in client.list_artifacts(run)} == {"spec.json", "scores.json"}


def test_a_run_in_the_home_is_kept_through_a_retry(tracked_home: Home) -> None:
    home = tracked_home
    messages: list[str] = []
    run = keep_a_run(home, messages)
    assert messages == []
    assert_kept(home, run)
    (artifact,) = home.artifacts.rglob("scores.json")
    table = json.loads(artifact.read_text())
    assert (table["columns"], table["data"]) == (["pair", "value"], [["pt-en", 12.5], ["es-en", 3.5]])


def test_a_parents_runs_share_one_experiment(tracked_home: Home) -> None:
    trackers = Tracker(tracked_home, print), Tracker(tracked_home, print)
    runs = [tracker.start(None, experiment="es-en", name="pt-en xattn", tags={}) for tracker in trackers]
    client = MlflowClient(tracking_uri=tracked_home.tracking)
    assert len({client.get_run(str(run)).info.experiment_id for run in runs}) == 1


def test_a_module_is_logged_once_and_files_take_each_others_place(tracked_home: Home) -> None:
    messages: list[str] = []
    for value in (12.5, 13.5):  # a job that is interrupted behind this tells it again
        tracker = Tracker(tracked_home, messages.append)
        run = tracker.start(None, experiment="es-en", name="pt-en xattn", tags={})
        tracker.module("es-en pt-en v1", {"digest": "a" * 64}, {"bleu/pt-en": value})
        tracker.files({"routed.png": str(value).encode()}, "figures")
    assert messages == []
    client = MlflowClient(tracking_uri=tracked_home.tracking)
    assert run is not None
    (model,) = client.search_logged_models([client.get_run(run).info.experiment_id])
    assert (model.name, model.tags["digest"], str(model.status)) == ("es-en pt-en v1", "a" * 64, "READY")
    assert client.get_run(run).data.metrics == {"bleu/pt-en": 13.5}
    (artifact,) = tracked_home.artifacts.glob(f"{run}/artifacts/figures/*")
    assert (artifact.name, artifact.read_bytes()) == ("routed.png", b"13.5")


def test_a_server_keeps_the_same(home: Home, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, server)
    messages: list[str] = []
    run = keep_a_run(home, messages)
    assert messages == []
    assert_kept(home, run)
    assert list(home.path.iterdir()) == []
    spec = download_artifacts(run_id=run, artifact_path="spec.json", dst_path=str(tmp_path), tracking_uri=server)
    assert Path(spec).read_text() == '{"pair": "pt-en"}'


def test_a_server_that_is_down_costs_one_line(
    home: Home, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, f"http://127.0.0.1:{free_port()}")
    messages: list[str] = []
    tracker = Tracker(home, messages.append)
    assert tracker.start(None, experiment="es-en", name="pt-en", tags={}) is None
    tracker.metrics({"loss": 5.5}, 20)
    tracker.finish("FINISHED")
    assert len(messages) == 1
    assert messages[0].startswith("MLflow could not start the run: ")


def test_a_server_that_goes_away_is_soon_left_alone(
    home: Home, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, f"http://127.0.0.1:{free_port()}")
    messages: list[str] = []
    tracker = Tracker(home, messages.append)
    # A run from before: its id stays, whether or not the server answers now.
    assert tracker.start("0" * 32, experiment="es-en", name="pt-en", tags={}) == "0" * 32
    for update in range(20, 400, 20):
        tracker.metrics({"loss": 5.5}, update)
    assert (MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), MLFLOW_HTTP_REQUEST_TIMEOUT.get()) == (1, 10)
    assert len(messages) == FAILURES_UNTIL_QUIET + 1
    assert messages[-1] == "no more calls to MLflow; the job continues without it"


def test_a_damaged_database_costs_lines(home: Home) -> None:
    (home.path / "mlflow.db").write_bytes(b"this is no database" * 100)
    messages: list[str] = []
    assert Tracker(home, messages.append).start(None, experiment="es-en", name="pt-en", tags={}) is None
    assert messages[0].startswith("MLflow could not start the run: ")


def test_the_message_about_a_deleted_experiment_names_the_way_out(tracked_home: Home) -> None:
    messages: list[str] = []
    first = Tracker(tracked_home, messages.append)
    run = first.start(None, experiment="es-en", name="pt-en", tags={})
    assert run is not None
    client = MlflowClient(tracking_uri=tracked_home.tracking)
    identity = client.get_run(run).info.experiment_id
    client.delete_experiment(identity)
    for known in (None, run):
        Tracker(tracked_home, messages.append).start(known, experiment="es-en", name="pt-en", tags={})
    command = f"{TRACKING_VARIABLE}={tracked_home.tracking} mlflow experiments restore --experiment-id {identity}"
    assert (
        messages
        == [
            "MLflow could not start the run: its experiment es-en was deleted, so this job is not tracked; expected an "
            f"active experiment. Fix: {command}"
        ]
        * 2
    )
    client.restore_experiment(identity)
    assert Tracker(tracked_home, messages.append).start(run, experiment="es-en", name="pt-en", tags={}) == run


def test_a_run_that_was_deleted_meanwhile_is_replaced(tracked_home: Home) -> None:
    messages: list[str] = []
    run = Tracker(tracked_home, messages.append).start(None, experiment="es-en", name="pt-en", tags={})
    assert run is not None
    MlflowClient(tracking_uri=tracked_home.tracking).delete_run(run)
    for known in (run, "0" * 32):
        again = Tracker(tracked_home, messages.append).start(known, experiment="es-en", name="pt-en", tags={})
        assert again not in (None, known)
    assert messages == []


def test_without_mlflow_a_job_is_not_tracked_and_does_not_fail(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mlflow", "mlflow.entities", "mlflow.store.db"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ModuleNotFoundError
    messages: list[str] = []
    tracker = Tracker(home, messages.append)
    assert tracker.start(None, experiment="es-en", name="pt-en xattn", tags={}) is None
    tracker.parameters({"seed": 1})
    tracker.metrics({"loss": 5.5}, 20)
    tracker.tags({"registered": "es-en/pt-en:1"})
    tracker.module("es-en/pt-en:1", {}, {"bleu": 12.5})
    tracker.finish("FINISHED")
    assert len(messages) == 1
    assert messages[0].startswith("MLflow could not start the run: ")
