from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from continual_mt.errors import InputError
from continual_mt.home import TRACKING_VARIABLE
from continual_mt.training.machine import VISIBLE_VARIABLE
from ray_jobs import diagnose


def test_a_report_is_plain_data(tmp_path: Path) -> None:
    report = diagnose(tmp_path / "home")
    found = json.loads(json.dumps(report.to_json()))
    assert set(found) == {"machine", "versions", "home", "services", "used", "problems"}
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["torch"] == version("torch")
    assert found["home"] == {"path": str(tmp_path / "home"), "exists": False}
    assert set(found["services"]) == {"ray", "mlflow", "database", "blobs"}
    assert found["problems"] == []


def test_problems_are_those_of_the_machine_and_of_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv(VISIBLE_VARIABLE, "0")
    monkeypatch.setenv(TRACKING_VARIABLE, "http://127.0.0.1:1")
    first, second = diagnose(tmp_path / "home").problems
    assert first.startswith("CUDA_VISIBLE_DEVICES: is 0, but PyTorch finds no GPU: ")
    assert second.startswith("MLflow: the server at http://127.0.0.1:1 cannot be used (")


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(InputError, match="home: is a file; expected the home folder"):
        diagnose(tmp_path / "home")
