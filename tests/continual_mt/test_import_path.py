"""Nothing of the current folder is imported while the project imports and works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from continual_mt.import_path import WithoutCurrentFolder, needed_by_workers, safe_options

ROOT = Path(__file__).parents[2]
NAMES = ("registry", "dashboards", "torch", "typing", "sentencepiece", "ray", "json", "pathlib")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of well-known names that end the program when they are imported."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the current folder was run')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("variable", [f"{ROOT}", f":{ROOT}", f"{ROOT}:.", f"{ROOT}:"])
def test_jobs_from_python_import_nothing_of_it(folder: Path, variable: str) -> None:
    if variable != f"{ROOT}":  # Python itself imports these as it starts, from every entry
        for name in ("typing", "json", "pathlib"):
            (folder / f"{name}.py").unlink()
    program = (
        "import sys; sys.path.append('kept'); import ray_jobs\n"
        "try: ray_jobs.add({'pair': 'de-en'}, home='nowhere')\n"
        "except Exception as error: print(type(error).__name__, '' in sys.path, 'kept' in sys.path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": variable},
    )
    assert (done.stdout, done.stderr) == ("SpecError True True\n", "")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["-m", "continual_mt.cli.main", "--version"], "continual-mt "),
        (["-c", "from registry import Registry; print(Registry.__name__)"], "Registry"),
        (["-c", "import sys; from continual_mt.cli.main import main; sys.exit(main(['--version']))"], "continual-mt "),
    ],
)
def test_neither_the_command_line_nor_the_registry_import_it(folder: Path, words: list[str], printed: str) -> None:
    """Nor what other libraries they need, which are imported first."""
    for name in NAMES:
        (folder / f"{name}.py").unlink()
    for name in ("typer", "pydantic", "sqlalchemy", "yaml"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} of the current folder was run')\n")
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:."},
    )
    assert done.stderr == ""
    assert done.stdout.startswith(printed)


def test_what_was_taken_out_is_put_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ["first", "", str(folder), "last", "."]
    monkeypatch.setattr(sys, "path", list(before))
    monkeypatch.setenv("PYTHONPATH", f":{ROOT}:.")
    with WithoutCurrentFolder():
        assert (sys.path, os.environ["PYTHONPATH"]) == (["first", "last"], str(ROOT))
        with WithoutCurrentFolder():
            sys.path.append("added")
        assert sys.path == ["first", "last", "added"]
    assert sys.path == ["first", "", str(folder), "last", ".", "added"]
    assert os.environ["PYTHONPATH"] == f":{ROOT}:."


def test_the_folder_of_this_project_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", ["", str(ROOT)])
    with WithoutCurrentFolder():
        assert sys.path == ["", str(ROOT)]
    assert (needed_by_workers(), safe_options()) == ([str(ROOT)], [])


def test_installed_packages_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed := tmp_path / "site-packages").mkdir()
    monkeypatch.chdir(installed)
    monkeypatch.setattr(sys, "path", [str(installed)])
    with WithoutCurrentFolder():
        assert sys.path == [str(installed)]


def test_the_folder_that_a_submitted_job_was_given_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", str(ROOT)])
    variable = "RAY_JOB_CONFIG_JSON_ENV_VAR"
    monkeypatch.setenv(variable, '{"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}}')
    with WithoutCurrentFolder():
        assert sys.path == ["", str(ROOT)]
    monkeypatch.setenv(variable, '{"runtime_env": {}}')
    with WithoutCurrentFolder():
        assert sys.path == [str(ROOT)]


def test_a_current_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["", str(ROOT)])
    with WithoutCurrentFolder():
        assert sys.path == [str(ROOT)]
    assert (needed_by_workers(), safe_options()) == ([], ["-P"])


def test_programs_that_start_with_m_do_not_import_it(folder: Path) -> None:
    """After a module that hides one of ours was excluded: see test_shadowing.py."""
    for name in ("registry", "dashboards", "typing", "json", "pathlib"):
        (folder / f"{name}.py").unlink()
    program = [sys.executable, "-m", "ray_jobs.add_language", "missing.yaml"]
    done = subprocess.run(
        program, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr
    assert "was run" not in done.stderr
