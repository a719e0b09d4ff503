"""What the project uses of MLflow beyond its public interface is still there."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.store.db import utils
from sqlalchemy.exc import OperationalError

from ray_jobs.tracking.mlflow_internals import limit_database_retries


def test_mlflow_tries_a_database_as_often_as_its_constant_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", utils.MAX_RETRY_COUNT)  # put back at the end
    tried: list[str] = []

    def fail(url: str) -> None:
        tried.append(url)
        raise OperationalError("connect", None, OSError("down"))

    monkeypatch.setattr(utils, "create_sqlalchemy_engine", lambda url: url)
    monkeypatch.setattr("sqlalchemy.inspect", fail)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    limit_database_retries(3)
    with pytest.raises(OperationalError):
        utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert len(tried) == 3
