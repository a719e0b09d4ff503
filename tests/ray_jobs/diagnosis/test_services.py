from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, TRACKING_VARIABLE, Home
from ray_jobs.diagnosis import services
from ray_jobs.diagnosis.services import ADDRESS_VARIABLE, address_in_effect, examine, installed
from registry import Registry
from tests.ray_jobs.heads import Head
from tests.ray_jobs.mlflow_server import started_server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "installed", lambda package: None)


def test_versions_of_packages() -> None:
    assert installed("ray") == version("ray")
    assert installed("no-such-package") is None


def test_an_argument_beats_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_in_effect(None) is None
    monkeypatch.setenv(ADDRESS_VARIABLE, "local")
    assert address_in_effect(None) is None
    monkeypatch.setenv(ADDRESS_VARIABLE, "host:1")
    assert address_in_effect(None) == "host:1"
    assert address_in_effect("other:2") == "other:2"
    assert address_in_effect("local") is None


def test_of_a_home_that_does_not_exist_nothing_is_made(home: Home) -> None:
    found = examine(home, None)
    assert {name: service.state for name, service in found.items()} == {
        "ray": "starts on this machine when a job needs it",
        "mlflow": "does not exist yet; the first job makes it",
        "database": "does not exist yet; 'parent train' makes it",
        "blobs": "writable",
    }
    assert all(service.usable and service.problem is None for service in found.values())
    assert not home.path.exists()


def test_of_a_home_that_exists_everything_is_usable(registry: Registry, mlflow_database: Path) -> None:
    home = Home(Path(registry.name).parent)
    shutil.copy(mlflow_database, home.path)
    before = sorted(home.path.rglob("*"))
    found = examine(home, None)
    schema = found["database"].facts["schema"]
    assert found["database"].state == f"usable, schema {schema}"
    assert found["database"].facts["newest_schema"] == schema
    assert (found["mlflow"].state, found["blobs"].place) == ("usable", registry.blobs.place)
    assert not [service.problem for service in found.values() if service.problem]
    assert {path for path in home.path.rglob("*") if not path.name.startswith("registry.db-")} == {
        path for path in before if not path.name.startswith("registry.db-")
    }


@pytest.mark.usefixtures("_nothing_installed")
def test_without_ray_and_mlflow_nothing_that_is_not_configured_is_a_problem(home: Home) -> None:
    found = examine(home, None)
    assert found["ray"].state == "not installed: train with --in-process"
    assert found["mlflow"].state == "not installed: jobs are not tracked"
    assert not found["ray"].usable
    assert not [service.problem for service in found.values() if service.problem]


@pytest.mark.usefixtures("_nothing_installed")
def test_without_ray_and_mlflow_what_is_configured_is_a_problem(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, "http://me:s3cret@host")
    found = examine(home, "host:6379")
    assert found["ray"].problem == (
        "Ray: jobs use the cluster at host:6379, but Ray is not installed. Fix: pip install 'ray[default,train]', or "
        "unset RAY_ADDRESS"
    )
    assert found["mlflow"].problem == (
        "MLflow: MLFLOW_TRACKING_URI is set, but MLflow is not installed. Fix: pip install 'mlflow', or unset it"
    )
    assert found["mlflow"].place == "http://***@host"


def test_what_does_not_answer_is_a_problem_in_time_and_without_credentials(
    home: Home, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql+psycopg://me:s3cret@127.0.0.1:{silent}/registry")
    monkeypatch.setenv(TRACKING_VARIABLE, f"http://me:s3cret@127.0.0.1:{silent}")
    started = time.monotonic()
    found = examine(home, None, seconds=1.0)
    assert time.monotonic() - started < 30
    for name, title in (("database", "database"), ("mlflow", "MLflow")):
        assert found[name].problem == (
            f"{title}: no answer within 1 seconds. Fix: check the address, and that it can be reached from here"
        )
    assert found["blobs"].state == "unknown: the database names the place"
    assert "s3cret" not in repr(found)


def test_a_server_of_mlflow_that_is_down_is_a_problem(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, "http://me:s3cret@127.0.0.1:1")
    problem = str(services.mlflow(home).problem)
    assert problem.startswith("MLflow: the server at http://***@127.0.0.1:1 cannot be used (")
    assert problem.endswith("Fix: check MLFLOW_TRACKING_URI, and that it runs")
    assert "s3cret" not in problem


@pytest.mark.slow
def test_a_server_of_mlflow_is_asked(
    home: Home, mlflow_database: Path, free_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started_server(mlflow_database, free_port(), tmp_path) as url:
        monkeypatch.setenv(TRACKING_VARIABLE, url)
        found = services.mlflow(home)
    assert (found.kind, found.place, found.state, found.problem) == ("server", url, "reachable", None)


def test_a_file_that_is_no_database_of_mlflow_is_a_problem(home: Home) -> None:
    home.path.mkdir()
    (home.path / "mlflow.db").write_text("text " * 1000)
    assert services.mlflow(home).problem == (
        f"MLflow: {home.path}/mlflow.db cannot be read (file is not a database). "
        f"Fix: name another place with {TRACKING_VARIABLE}, or move it away"
    )


def test_other_places_of_mlflow_are_not_examined(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, "databricks://profile")
    found = services.mlflow(home)
    assert (found.kind, found.state, found.problem) == (
        "databricks",
        "not examined: only servers and SQLite files are",
        None,
    )


def test_a_variable_that_is_no_url_is_a_problem_that_does_not_show_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql+psycopg://me:s3@cret@host/registry")
    problem = str(services.records(home).problem)
    assert problem.startswith("database: the database URL has several '@'")
    monkeypatch.delenv(DATABASE_VARIABLE)
    monkeypatch.setenv(BLOBS_VARIABLE, "s3://me:s3cret@bucket/blobs")
    problem = str(services.records(home).problem)
    assert "the URL holds a password or secret key" in problem
    assert "s3cret" not in problem


@pytest.mark.slow
def test_a_cluster_is_connected_to(head: Head) -> None:
    found = services.ray(head.address)
    assert (found.state, found.problem) == ("reachable: machines 1, CPUs 4, GPUs 0", None)
    assert found.facts == {"machines": 1, "cpus": 4.0, "gpus": 0.0, "cpus_of_largest": 4.0}


def test_a_cluster_that_is_down_is_a_problem_with_its_fix() -> None:
    found = services.ray("127.0.0.1:1")
    assert (found.usable, found.state) == (False, "cannot be used")
    assert str(found.problem).startswith("Ray: no Ray cluster answers at 127.0.0.1:1 (")
    assert str(found.problem).endswith("or leave --address and RAY_ADDRESS out to start Ray on this machine")
