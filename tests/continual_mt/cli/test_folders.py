"""Folders of the user that are missing, named in other scripts, or only readable: one line says what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DELETED = "the current folder was deleted; expected an existing one. Fix: change to another folder ('cd')\n"


@pytest.mark.parametrize("words", [["pairs"], ["pairs", "--home", "relative"], ["registry", "list"]])
def test_a_current_folder_that_was_deleted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.endswith(DELETED)
    assert result.err.count("\n") == 1


def test_a_home_that_is_named_in_another_script_than_the_locale_has(home: Path) -> None:
    moved = home.rename(home.with_name("\u0414\u043e\u043c"))
    asked = subprocess.run(
        [sys.executable, "-m", "continual_mt.cli.main", "pairs", "--home", str(moved)],
        capture_output=True,
        check=False,
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert (asked.returncode, asked.stderr) == (0, b"")
    assert asked.stdout.startswith(b"pair ")


NO_HOME = """
import os, pwd
def unknown(user): raise KeyError(user)
pwd.getpwuid = unknown
os.environ.pop("HOME", None)
from continual_mt.errors import InputError
from continual_mt.home import Home, give_user_folder
try: Home.resolve("~/mt")
except InputError as error: print(error)
give_user_folder()
from mlflow import MlflowClient
print("MLflow was imported")
"""


def test_a_user_without_a_home_folder() -> None:
    done = subprocess.run([sys.executable, "-c", NO_HOME], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "~/mt: Could not determine home directory. Fix: use an absolute path, or set HOME",
        "MLflow was imported",
    ]
