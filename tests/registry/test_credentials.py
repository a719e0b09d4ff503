"""Passwords and keys, in URLs and in the environment, are in nothing that a command writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, TRACKING_VARIABLE
from registry import Registry
from registry.location import Location
from tests.registry.backends import only_postgresql
from tests.registry.server import PASSWORD

KEY, TRACKER = "AKs3cretkey/of+tests", "tracker-s3cret"
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), KEY, TRACKER)


def written(home: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """The exit code, and all that a command wrote to its streams, with the log turned up."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": KEY,
        TRACKING_VARIABLE: f"http://tester:{TRACKER}@127.0.0.1:1",
        **variables,
    }
    program = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG);"
        "from continual_mt.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, cwd=Path.cwd(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def assert_hidden(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


@only_postgresql
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("registry", "list", "--json"), 0),
        (("registry", "show", "de-en", "--json"), 0),
        (("pairs",), 0),
        (("registry", "verify", "--json"), 0),
        (("registry", "--help"), 0),
        (("dashboard", "--mlflow"), 0),
        (("dashboard", "--host", "192.0.2.1"), 1),
        (("registry", "show", "xx-en"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_commands_that_reach_everything(home: Path, filled: Registry, arguments: tuple[str, ...], code: int) -> None:
    place = [] if "--help" in arguments else ["--home", str(home)]
    found, text = written(home, *arguments, *place)
    assert found == code, text
    assert_hidden(text)


@only_postgresql
@pytest.mark.parametrize("parts", [{"port": 1}, {"password": "wrong-s3cret"}, {"database": "nosuch"}])
def test_databases_that_cannot_be_used(home: Path, filled: Registry, parts: dict[str, object]) -> None:
    url = Location.resolve(home).database.set(**parts)  # type: ignore[arg-type]
    database = url.render_as_string(hide_password=False)
    code, text = written(home, "pairs", "--home", str(home), **{DATABASE_VARIABLE: database})
    assert code == 1
    assert ":***@" in text
    assert_hidden(text)
    assert "wrong-s3cret" not in text


@only_postgresql
def test_blobs_that_cannot_be_reached(home: Path, filled: Registry) -> None:
    endpoint = {"AWS_ENDPOINT_URL": f"http://tester:{TRACKER}@127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    code, text = written(home, "pairs", "--home", str(home), **endpoint, **{BLOBS_VARIABLE: "s3://bucket/blobs"})
    assert code == 1
    assert_hidden(text)
    code, text = written(home, "pairs", "--home", str(home), **{BLOBS_VARIABLE: f"s3://key:{KEY}@bucket"})
    assert (code, "the URL holds a password or secret key" in text) == (2, True)
    assert_hidden(text)


TRACK = """
import sys
from continual_mt.home import Home
from ray_jobs.tracking import Tracker
tracker = Tracker(Home.resolve(sys.argv[1]), print)
tracker.start(None, experiment="base", name="de-en", tags={})
tracker.metrics({"loss": 1.0}, 1)
"""


@pytest.mark.parametrize(
    "tracking",
    [
        f"http://tester:{TRACKER}@127.0.0.1:1",
        f"postgresql://tester:{TRACKER}@127.0.0.1:1/mlflow",
        f"nosuch://tester:{TRACKER}@127.0.0.1:1/mlflow",
    ],
)
def test_a_tracking_server_that_is_away(tracking: str, tmp_path: Path) -> None:
    environment = {**os.environ, TRACKING_VARIABLE: tracking, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    command = [sys.executable, "-c", TRACK, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=Path.cwd(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MLflow could not start the run: " in done.stdout
    assert_hidden(done.stdout + done.stderr)
