from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from continual_mt.config.spec import AdditionSpec
from ray_jobs.planning.resolve import ReplayedPair, resolve
from ray_jobs.tracking import mlflow_payload
from ray_jobs.tracking.lineage import code_version, lineage, name_of, parent_of
from registry import Input, JobRecord, Registry
from registry.records.values import now


def test_lineage_says_what_a_result_was_made_from(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    job = resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path)
    held = JobRecord(job.digest, "addition", "running", 3, "host:1:x", now(), "run-1", now(), now())
    environment = {"torch": "2.0", "threads": 2}
    made = lineage(job, held, "run-1", [test.record for test in job.tests], environment)
    assert [role for role, _ in made.corpora] == ["train", "dev", "test"]
    assert (made.job, made.attempt, made.run) == (job.digest, 3, "run-1")
    assert (made.spec["pair"], made.environment) == ("pt-en", environment)
    assert lineage(job, replace(held, attempt=4), None, [], {}).attempt == 4


def test_the_code_is_known_by_its_text(tmp_path: Path) -> None:
    for name in ("continual_mt", "ray_jobs"):
        package = Path(__file__).parents[3] / name
        shutil.copytree(package, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "from ray_jobs.tracking.lineage import code_version; print(code_version())"]

    def version() -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    same = version()
    assert same == code_version()
    assert re.fullmatch(rf"{re.escape(importlib.metadata.version('continual-mt'))}\+[0-9a-f]{{12}}", same)
    with (tmp_path / "continual_mt" / "recipe.py").open("a") as file:
        file.write("# another word\n")
    assert version() != same


def test_lineage_names_what_was_replayed(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    parent = registry.parent("es-en")
    plain, other = (resolve(addition_spec(pair), parent, tmp_path) for pair in ("pt-en", "es-de"))
    job = replace(plain, replay=0.5, replayed=(ReplayedPair(other.train, None),))
    held = JobRecord(job.digest, "addition", "running", 1, None, None, None, now(), now())
    made = lineage(job, held, None, [], {})
    assert made.corpora == (
        ("train", plain.train.record),
        ("train", other.train.record),
        ("dev", plain.dev.record),
    )
    assert (made.replay, made.inputs) == (0.5, (Input("replayed", "es-en", parent.fingerprint),))
    parameters = mlflow_payload.parameters(job)
    assert (parameters["replay"], parameters["replayed"]) == (0.5, "es-de")
    assert not {"replay", "replayed"} & set(mlflow_payload.parameters(plain))
    assert (lineage(plain, held, None, [], {}).replay, lineage(plain, held, None, [], {}).inputs) == (None, ())


def test_records_are_called_by_name(registry: Registry) -> None:
    parent = registry.parent("es-en")
    assert name_of(parent) == parent_of(parent) == "es-en"
