from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.errors import SpecError, UnknownNameError
from continual_mt.home import DATABASE_VARIABLE, HOME_VARIABLE
from ray_jobs import add
from ray_jobs.entrypoint import INSIDE_JOB_VARIABLE, require_absolute_home

Values = dict[str, Any]
PROGRAMS = ("train_parent", "add_language", "add_sequence")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"ray_jobs.{program}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_has_help_with_an_example(program: str) -> None:
    result = run(program, "--help")
    assert result.returncode == 0
    assert f"ray_jobs.{program} /data/spec.yaml" in " ".join(result.stdout.split())
    assert "--home" in result.stdout
    assert "--in-process" in result.stdout


def test_misuse_is_exit_code_two_and_writes_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("pair: nonsense\nscope: everything\nupdates: 3\n")
    result = run("add_language", str(spec), "--home", str(tmp_path / "home"))
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {spec}: ")
    for problem in ("pair: ", "scope: ", "updates: unknown key", "train: missing", "dev: missing"):
        assert problem in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_an_addition_without_a_registry_is_misuse(addition_values: Callable[..., Values], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="home"):
        add(addition_values("pt-en"), home=tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_mapping_is_checked_as_a_file_is(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the spec: ") as caught:
        add({"pair": "pt-en", "train": {"tsv": "missing.tsv"}, "speed": 1}, home=tmp_path)
    assert "dev: missing" in caught.value.problems
    assert any(problem.startswith("speed: unknown key (did you mean seed?)") for problem in caught.value.problems)
    assert any(str(tmp_path / "missing.tsv") in problem for problem in caught.value.problems)


def test_a_submitted_job_needs_an_absolute_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(INSIDE_JOB_VARIABLE, "{}")
    with pytest.raises(SpecError, match="the home is not set; a submitted job runs in a temporary copy"):
        require_absolute_home(None)
    with pytest.raises(SpecError, match=r"the home is relative; .*absolute path with --home or CONTINUAL_MT_HOME"):
        require_absolute_home("relative")
    assert require_absolute_home(str(tmp_path)).path == tmp_path
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert require_absolute_home(None).path == tmp_path
    monkeypatch.setenv(HOME_VARIABLE, "relative")
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{tmp_path / 'registry.db'}")
    require_absolute_home(None)


def test_outside_a_job_the_home_may_be_relative(tmp_path: Path) -> None:
    assert require_absolute_home("relative").path == tmp_path / "relative"


def test_inside_a_job_a_relative_home_is_exit_code_two(
    addition_values: Callable[..., Values], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(INSIDE_JOB_VARIABLE, "{}")
    (tmp_path / "spec.yaml").write_text(json.dumps(addition_values("pt-en")))
    result = run("add_language", "spec.yaml", "--home", "relative")
    assert result.returncode == 2
    assert "the home is relative" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_in_process_and_an_address_are_refused_together(addition_values: Callable[..., Values], tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(json.dumps(addition_values("pt-en")))
    result = run("add_language", "spec.yaml", "--home", str(tmp_path / "home"), "--in-process", "--address", "auto")
    assert result.returncode == 2
    assert "in_process and the address auto exclude each other" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
