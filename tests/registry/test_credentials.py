"""Passwords and keys, in URLs and in the environment, are in nothing that a command writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import fsspec.config
import pytest

from continual_mt.credentials import hidden
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, TRACKING_VARIABLE
from registry import Registry
from registry.database.location import Location
from tests.registry.backends import only_postgresql
from tests.registry.server import PASSWORD

KEY, TRACKER = "AKs3cretkey/of+tests", "tracker-s3cret"
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), KEY, TRACKER, "wrong-s3cret")


def test_secrets_are_hidden_in_the_text_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not/so+secret")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"client_kwargs": {"aws_session_token": "of-the-session"}})
    assert hidden("not/so+secret of-the-session false") == "*** *** false"
    assert (
        hidden("at 'https://me:word@host:9000/b?X-Amz-Signature=1f' (a?b)") == "at 'https://***@host:9000/b?***' (a?b)"
    )


PROGRAM = """
import json, logging, os, sys
from continual_mt.cli.main import main
logging.basicConfig(level=logging.DEBUG)
codes = []
for variables, arguments in json.loads(sys.argv[1]):
    before = dict(os.environ)
    os.environ.update(variables)
    codes.append(main(arguments))
    os.environ.clear()
    os.environ.update(before)
print(codes)
"""


def written(*commands: tuple[dict[str, str], list[str]]) -> tuple[list[int], str]:
    """The exit codes of commands, and all that they wrote, with the log turned up. One process runs them all."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": KEY,
        TRACKING_VARIABLE: f"http://tester:{TRACKER}@127.0.0.1:1",
    }
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def assert_hidden(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


@only_postgresql
def test_commands(home: Path, filled: Registry) -> None:
    url = Location.resolve(home).database
    wrong = [url.set(port=1), url.set(password="wrong-s3cret"), url.set(database="nosuch")]
    databases = [{DATABASE_VARIABLE: place.render_as_string(hide_password=False)} for place in wrong]
    endpoint = f"http://tester:{TRACKER}@127.0.0.1:1"
    commands: list[tuple[int, dict[str, str], list[str]]] = [
        (0, {}, ["registry", "list", "--json"]),
        (0, {}, ["registry", "show", "de-en", "--json"]),
        (2, {}, ["registry", "show", "xx-en"]),
        (0, {}, ["registry", "verify", "--json"]),
        (0, {}, ["pairs"]),
        (0, {}, ["dashboard", "--mlflow"]),
        (1, {}, ["dashboard", "--host", "192.0.2.1"]),
        *((1, variables, ["pairs"]) for variables in databases),
        (1, {BLOBS_VARIABLE: "s3://bucket/blobs", "AWS_ENDPOINT_URL": endpoint}, ["pairs"]),
        (2, {BLOBS_VARIABLE: f"s3://key:{KEY}@bucket"}, ["pairs"]),
    ]
    codes, text = written(*((variables, [*arguments, "--home", str(home)]) for _, variables, arguments in commands))
    assert codes == [code for code, _, _ in commands], text
    assert text.count(":***@127.0.0.1") >= 3
    assert_hidden(text)


TRACK = """
import sys
from continual_mt.home import Home
from ray_jobs.tracking.mlflow_tracker import Tracker
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
