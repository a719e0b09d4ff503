from __future__ import annotations

from pathlib import Path

import pytest

from experiments.paper.rivals import Rival
from experiments.paper.run import Run
from experiments.paper.search import Trains
from experiments.paper.settings import Rates, Setting, first_rates
from experiments.run import read_rows


def not_searched(run: Trains, setting: Setting) -> Rates:
    return first_rates(setting.scope, setting.side)


@pytest.mark.slow
def test_each_rival_of_a_zero_shot_pair_is_trained_and_tested_once(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("final", "rivals"):
        monkeypatch.setattr(f"experiments.paper.{module}.best_rates", not_searched)
    with (run := Run(tmp_path / "data", homes, tmp_path / "results.jsonl")).driver:
        run.parent("paper-full")
        rival = Rival(run, "full", "de-cs")
        for _ in range(2):  # the second time all is known
            rival.alone("de-cs")
            rival.both_new()
            rival.bridge()
            rival.pivot(seed=1)
    rows = read_rows(tmp_path / "results.jsonl")
    found = [(row["pair"], row["rival"], row["kind"]) for row in rows if row["part"] == "rival"]
    assert found == [
        ("de-cs", "scratch", "original"),
        ("de-cs", "both-new", "supervised"),
        ("de-cs", "bridge", "bridge"),
        ("en-cs", "scratch", "original"),
        ("de-cs", "pivot", "pivot"),
        ("de-cs", "zero-shot", "zero-shot"),
    ]
    bleu = {row["rival"]: row["bleu"] for row in rows if row["part"] == "rival"}
    (compared,) = (row for row in rows if row["part"] == "significance")
    assert compared["difference"] == pytest.approx(bleu["zero-shot"] - bleu["pivot"], abs=0.011)
