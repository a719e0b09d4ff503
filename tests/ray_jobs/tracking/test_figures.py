from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from continual_mt import extras
from continual_mt.home import Home
from continual_mt.languages import Pair
from ray_jobs.tracking.figures import log_figures
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import Registry, SequenceRecord

SEQUENCE = SequenceRecord("a" * 64, "base", "in turn", "separate", (Pair("de", "en"),))


class Recorder(Tracker):
    """Keeps the names of files instead of logging them."""

    def __init__(self, home: Home) -> None:
        super().__init__(home, print)
        self.names: list[str] = []

    def files(self, contents: Mapping[str, bytes], folder: str) -> None:
        self.names += [f"{folder}/{name}" for name in contents]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(Home(tmp_path))


def test_figures_are_attached(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"storage.png": b"\x89PNG"}
    monkeypatch.setattr("dashboards.report.mlflow_artifacts.sequence_artifacts", lambda registry, sequence: made)
    messages: list[str] = []
    log_figures(recorder, cast(Registry, None), SEQUENCE, messages.append)
    assert (recorder.names, messages) == (["figures/storage.png"], [])


def test_without_the_packages_that_draw_one_line_says_so(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.PACKAGES, "dashboard", ("no_such_package",))  # type: ignore[arg-type]
    messages: list[str] = []
    log_figures(recorder, cast(Registry, None), SEQUENCE, messages.append)
    assert recorder.names == []
    assert messages == [
        "MLflow gets no figures: drawing them needs the extra 'dashboard' (no_such_package is not installed). "
        "Fix: pip install 'continual-mt[dashboard]'"
    ]
