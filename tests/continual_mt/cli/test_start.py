"""Verbs that only read the registry do not import what only training and translation need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys
from continual_mt.cli.main import main
code = main(sys.argv[1:])
slow = {"torch", "ray", "mlflow", "plotly"} & sys.modules.keys()
print(code, *sorted(slow), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["pairs"],
        ["registry", "list"],
        ["registry", "show", "pt-en"],
        ["registry", "search", "language=pt"],
        ["registry", "alias", "pt-en@candidate", "1"],
        ["registry", "lineage", "pt-en"],
    ],
)
def test_reading_does_not_import_torch(home: Path, words: list[str]) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK, *words, "--home", str(home)], check=True, capture_output=True, text=True
    )
    assert asked.stdout
    assert asked.stderr.splitlines()[-1] == "0"
