"""A user's own module that has the name of one of our packages is found at start, and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


def message(package: str, file: Path) -> str:
    return (
        f"error: {package}: {file} hides the package {package!r} of continual-mt, which has the same name. "
        "Fix: rename that file, or leave its folder out of PYTHONPATH and run with PYTHONSAFEPATH=1\n"
    )


@pytest.mark.parametrize("file", ["registry.py", "dashboards/__init__.py"])
@pytest.mark.parametrize(
    "words", [("continual_mt.cli.main", "pairs"), ("ray_jobs.add_language", "x"), ("ray_jobs.train_parent", "x")]
)
def test_a_module_of_the_working_folder_that_hides_ours_is_named(
    tmp_path: Path, file: str, words: tuple[str, ...]
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("raise SystemExit('the module that hides ours was run')\n")
    package = file.partition("/")[0].removesuffix(".py")
    found = run(tmp_path, *words)
    assert (found.returncode, found.stdout, found.stderr) == (2, "", message(package, tmp_path / file))


@pytest.mark.parametrize("folder", ["registry/records", "dashboards/views", "ray_jobs/planning"])
def test_a_package_with_folders_of_our_names_is_detected(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    file = (tmp_path / folder).parent / "__init__.py"
    file.touch()
    found = run(tmp_path, "continual_mt.cli.main", "pairs")
    assert (found.returncode, found.stdout, found.stderr) == (2, "", message(file.parent.name, file))


def test_the_way_out_that_the_error_names_works(tmp_path: Path) -> None:
    (tmp_path / "registry.py").write_text("raise SystemExit('the module that hides ours was run')\n")
    found = run(tmp_path, "continual_mt.cli.main", "pairs", "--home", "nowhere", PYTHONSAFEPATH="1")
    assert found.returncode == 2
    assert "no registry in" in found.stderr


def test_a_folder_without_a_module_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    found = run(tmp_path, "continual_mt.cli.main", "--version")
    assert (found.returncode, found.stderr) == (0, "")
