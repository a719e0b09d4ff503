"""Additions of one sequence that train on Ray at the same time: one is lost, or all are stopped."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from continual_mt.home import Home
from registry import Registry
from tests.ray_jobs.programs import Values, last_checkpoint

pytestmark = pytest.mark.slow

PAIRS = ("pt-en", "es-de")
# Many more updates than the test lets it make.
ENDLESS = {"updates": 100_000, "validate_every": 5, "patience": 0}
MIDDLE = "xattn: update 5 of"


def run_states(home: Path) -> dict[str, str]:
    """How MLflow's runs ended, by name, without the parent's."""
    client = MlflowClient(tracking_uri=Home(home).tracking)
    runs = client.search_runs([found.experiment_id for found in client.search_experiments()])
    return {run.info.run_name: run.info.status for run in runs if run.info.run_name != "parent es-en"}


def test_as_many_train_as_there_is_room_for_and_a_signal_stops_all(
    ray_cluster: Any, start: Any, home: Path, addition_values: Callable[..., Values]
) -> None:
    """Two of three additions fit on four CPUs."""
    changes = {"training": ENDLESS, "resources": {"cpus": 2}}
    additions = [addition_values(pair, changes) for pair in (*PAIRS, "es-fr")]
    values = {"name": "latin", "parent": "es-en", "additions": additions}
    program = start("add_sequence", values, home, environment={"RAY_ADDRESS": ray_cluster.address})
    for pair in PAIRS:
        program.await_message(f"{pair} {MIDDLE}")
    program.send(signal.SIGINT)
    assert program.exit_code() == 1
    messages = program.messages
    assert "registered" not in messages
    assert "es-fr xattn: worker" not in messages
    assert re.search(r"\nerror: stopped at update \d+; a checkpoint was written: start the same job again", messages), (
        messages
    )
    for pair in PAIRS:
        stopped = re.search(rf"{pair} xattn: stopped at update (\d+); a checkpoint was written", messages)
        assert stopped is not None, messages
        assert last_checkpoint(Home(home).jobs, pair).progress.update == int(stopped[1]) >= 5
    assert run_states(home) == {"sequence latin": "KILLED"} | {f"{pair} xattn": "KILLED" for pair in PAIRS}
    with Registry.open(home) as registry:
        assert registry.modules() == []


def test_one_that_fails_is_reported_and_the_others_continue(
    ray_cluster: Any, start: Any, home: Path, addition_values: Callable[..., Values], parallel: Callable[..., Values]
) -> None:
    lost = addition_values(
        "pt-en", {"training": {"updates": 100, "validate_every": 20}, "resources": {"max_failures": 0}}
    )
    other = addition_values("es-de")
    other["tests"].append({"pair": "pt-de", **parallel("test", "pt-de")})
    values = {"name": "latin", "parent": "es-en", "additions": [lost, other]}
    program = start("add_sequence", values, home, environment={"RAY_ADDRESS": ray_cluster.address})
    os.kill(int(program.await_message(r"pt-en xattn: worker (\d+) on cpu: starts")[1]), signal.SIGKILL)
    assert program.exit_code() == 1
    at_once, at_the_end = re.findall(r"pt-en xattn: Ray ended the training: .*", program.messages)
    assert at_once == at_the_end
    assert f"error: sequence latin: one addition failed:\n  - {at_the_end}" in program.messages
    assert "Fix: start the same sequence again; finished additions are not repeated" in program.messages
    assert run_states(home) == {"sequence latin": "FAILED", "pt-en xattn": "FAILED", "es-de xattn": "FINISHED"}
    with Registry.open(home) as registry:
        (module,) = registry.modules()
        assert module.full_name == "es-en/es-de:1"
        assert {str(score.pair) for score in registry.scores()} == {"es-en", "es-de"}
        (sequence,) = registry.catalog.sequences()
        assert {cell.position for cell in registry.catalog.cells(sequence.digest)} == {0}

    program = start("add_sequence", values, home, ["--in-process"])
    outcomes = program.outcomes()
    assert [(outcome["name"], outcome["trained_now"]) for outcome in outcomes] == [
        ("es-en/pt-en:1", True),
        ("es-en/es-de:1", False),
    ]
    assert "es-de xattn: worker" not in program.messages
    assert set(run_states(home).values()) == {"FINISHED"}
    with Registry.open(home) as registry:
        assert registry.module("es-de:1") == module
        cells = [cell for cell in registry.catalog.cells(sequence.digest, metric="bleu") if cell.view == "routed"]
        assert [(cell.position, str(cell.pair)) for cell in cells] == [
            (0, "es-en"),
            (1, "es-en"),
            (1, "pt-en"),
            (2, "es-de"),
            (2, "es-en"),
            (2, "pt-de"),
            (2, "pt-en"),
        ]
