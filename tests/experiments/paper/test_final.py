"""Additions to a parent, trained by two updates on catalogs in the place of captions, and what is measured of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.paper.final import originals
from experiments.paper.goal import goal_table
from experiments.paper.lexicon import COUNTED, GOLD, lexicon
from experiments.paper.run import Run
from experiments.paper.settings import PAIRS, Setting, first_rates, side_of
from experiments.paper.tables import retention_table
from experiments.run import read_rows
from experiments.texts import write


@pytest.mark.slow
def test_additions_are_compared_with_body_and_their_embeddings_with_french(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.paper.final.PARENTS", {"paper-full": "full"})
    write(tmp_path / "data/lexicons/de-fr.train.tsv", ["Jahr\tannée", "Woche\tsemaine"])
    write(tmp_path / "data/lexicons/de-fr.test.tsv", ["Monat\tmois"])
    results = tmp_path / "results.jsonl"
    with (run := Run(tmp_path / "data", homes, results)).driver:
        originals(run)
        for scope in ("xattn", "body"):
            labels = {"table": "full", "parent": "paper-full", "scope": scope, "start": "random", "seed": 1}
            for pair in PAIRS:
                setting = Setting("paper-full", pair, "full", scope, "random")
                module = str(run.trained(setting, first_rates(scope, side_of(pair)))["module"])
                run.tested(labels, pair, "supervised", [module])
            run.tested(labels, "fr-en", "retention", [module])
        lexicon(run)
        lexicon(run)  # all is known
    rows = read_rows(results)
    (original,) = (row for row in rows if row["part"] == "original")
    assert (original["kind"], original["sentences"]) == ("original", 16)
    assert [line[:2] for line in retention_table(rows, "full")[1]] == [["`xattn`", "random"], ["`body`", "random"]]
    measured = [row for row in rows if row["part"] == "lexicon"]
    assert [(row["scope"], row["pair"], row["lexicon"]) for row in measured] == [
        (scope, pair, name)
        for scope in ("xattn", "body")
        for pair, names in (("de-en", (COUNTED, GOLD)), ("cs-en", (COUNTED,)))
        for name in names
    ]
    assert {row["entries"] for row in measured if row["lexicon"] == GOLD} == {3}
    assert {(one["unit"], one["method"]) for one in measured[0]["results"]} == {
        (unit, method) for unit in ("piece", "word") for method in ("cosine", "csls")
    }
    supervised = [row for row in rows if row["part"] == "test" and row["kind"] == "supervised"]
    columns, lines = goal_table(supervised, homes)
    assert columns == ["scope", "start", "seeds", "− `body`, random"]
    assert [line[:3] for line in lines] == [["`xattn`", "random", "1"], ["`body`", "random", "1"]]
    means = {scope: sum(row["bleu"] for row in supervised if row["scope"] == scope) / 4 for scope in ("xattn", "body")}
    assert float(lines[0][3].split()[0]) == pytest.approx(means["xattn"] - means["body"], abs=0.011)
    assert lines[1][3] == ""
    assert goal_table(supervised[:-1], homes)[1] == []
