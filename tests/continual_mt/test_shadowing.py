"""A user's own module that has the name of one of our packages is found at start, and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


WAYS = [("continual_mt.cli.main", "pairs"), ("ray_jobs.add_language", "x"), ("ray_jobs.train_parent", "x")]
OWN_MODULE = "raise SystemExit('the module that hides ours was run')\n"


def run(folder: Path, *words: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run in ``folder``, with ``first`` before this project on PYTHONPATH."""
    path = os.pathsep.join(str(entry) for entry in (first, ROOT) if entry)
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


def message(package: str, file: Path) -> str:
    return (
        f"error: {package}: {file} hides the package {package!r} of continual-mt, which has the same name. "
        "Fix: rename that file, or leave its folder out of PYTHONPATH\n"
    )


@pytest.mark.parametrize("file", ["registry.py", "dashboards/__init__.py"])
@pytest.mark.parametrize("words", WAYS)
def test_a_module_that_hides_ours_is_named(tmp_path: Path, file: str, words: tuple[str, ...]) -> None:
    hiding = tmp_path / "first" / file
    hiding.parent.mkdir(parents=True)
    hiding.write_text(OWN_MODULE)
    package = file.partition("/")[0].removesuffix(".py")
    found = run(tmp_path, *words, first=tmp_path / "first")
    assert (found.returncode, found.stdout, found.stderr) == (2, "", message(package, hiding))


@pytest.mark.parametrize("folder", ["registry/records", "dashboards/views", "ray_jobs/planning"])
def test_a_package_with_folders_of_our_names_is_detected(tmp_path: Path, folder: str) -> None:
    (tmp_path / "first" / folder).mkdir(parents=True)
    file = (tmp_path / "first" / folder).parent / "__init__.py"
    file.touch()
    found = run(tmp_path, "continual_mt.cli.main", "pairs", first=tmp_path / "first")
    assert (found.returncode, found.stdout, found.stderr) == (2, "", message(file.parent.name, file))


@pytest.mark.parametrize("words", WAYS)
def test_in_the_current_folder_it_hides_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "registry.py").write_text(OWN_MODULE)
    found = run(tmp_path, *words)
    assert found.returncode == 2
    assert ("no registry in" if "pairs" in words else "file does not exist") in found.stderr


def test_a_folder_without_a_module_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    found = run(tmp_path, "continual_mt.cli.main", "--version")
    assert (found.returncode, found.stderr) == (0, "")
