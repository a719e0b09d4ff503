from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continual_mt.cli.pairs import Kind
from continual_mt.home import HOME_VARIABLE, TRACKING_VARIABLE
from registry import Registry
from registry.recipes.rule import PREFERENCE
from tests.continual_mt.cli.conftest import score


def test_pairs_as_lines(run: Any, shared_home: Path) -> None:
    result = run("pairs", "--home", shared_home)
    assert (result.code, result.err) == (0, "")
    lines = [line.split("  ") for line in result.out.splitlines()]
    tested = "test, 1,012 sentences, beam 5"
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        ["pair", "kind", "recipe", "BLEU", "chrF", "chrF++", "off-target %", "of references", "test set"],
        [
            "es-en",
            "original",
            "source parent, xattn parent, target parent",
            "30.0",
            "55.5",
            *("-", "-", "-"),
            tested,
        ],
        ["es-de", "supervised", "source parent, xattn es-de:1, target es-de:1", *("-",) * 6],
        ["pt-en", "supervised", "source pt-en:1, xattn pt-en:1, target parent", *("-",) * 6],
        [
            "pt-de",
            "zero-shot",
            "source pt-en:1, xattn es-de:1, target es-de:1",
            "7.0",
            *("-", "-", "-", "-"),
            tested,
        ],
    ]


def test_pairs_as_json(run: Any, shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(shared_home))
    result = run("pairs", "--parent", "es-en", "--json")
    with Registry.open(shared_home) as registry:
        entries = registry.pairs()
    found = json.loads(result.out)
    added = ("metrics", "offtarget_of_references", "wrong_language")
    assert [{key: value for key, value in one.items() if key not in added} for one in found] == [
        entry.to_json() for entry in entries
    ]
    original = {key: found[0][key] for key in added}
    metrics = {"bleu": 30.04, "chrf": 55.5, "chrfpp": None, "offtarget": None}
    assert original == {"metrics": metrics, "offtarget_of_references": None, "wrong_language": None}
    assert result.err == ""


def test_pairs_of_one_language(run: Any, shared_home: Path) -> None:
    found = run("pairs", "--language", "PT", "--home", shared_home)
    assert (found.code, [line.split()[0] for line in found.out.splitlines()]) == (0, ["pair", "pt-en", "pt-de"])
    none = run("pairs", "--language", "it", "--home", shared_home)
    assert (none.code, none.out) == (0, "")
    assert none.err == "no pair has the language it; 'continual-mt pairs' lists the pairs\n"
    assert json.loads(run("pairs", "--language", "it", "--home", shared_home, "--json").out) == []
    wrong = run("pairs", "--language", "zzzz1-", "--home", shared_home)
    assert wrong.code == 2
    assert wrong.err.startswith("error: 'zzzz1-' is not a language tag; expected BCP 47, ")


def test_pairs_of_some_kinds(run: Any, shared_home: Path) -> None:
    words = ("pairs", "--home", shared_home, "--kind")
    found = run(*words, "zero-shot")
    assert (found.code, [line.split()[0] for line in found.out.splitlines()]) == (0, ["pair", "pt-de"])
    several = json.loads(run(*words, "zero-shot", "--kind", "original", "--json").out)
    assert [(one["pair"], one["kind"]) for one in several] == [("es-en", "original"), ("pt-de", "zero-shot")]
    both = run(*words, "supervised", "--language", "pt")
    assert [line.split()[0] for line in both.out.splitlines()] == ["pair", "pt-en"]


def test_no_pair_of_a_kind(run: Any, shared_home: Path) -> None:
    words = ("pairs", "--home", shared_home, "--kind", "pivot", "--kind", "bridge")
    none = run(*words)
    assert (none.code, none.out) == (0, "")
    assert none.err == "no pair runs with pivot or bridge; 'continual-mt pairs' lists the pairs\n"
    none = run(*words, "--language", "pt")
    assert none.err == "no pair of the language pt runs with pivot or bridge; 'continual-mt pairs' lists the pairs\n"
    assert json.loads(run(*words, "--json").out) == []


@pytest.mark.parametrize("kind", ["pivots", "retention", ""])
def test_an_unknown_kind(run: Any, shared_home: Path, kind: str) -> None:
    refused = run("pairs", "--kind", "pivot", "--kind", kind, "--home", shared_home)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"error: Invalid value for '--kind': '{kind}' is not one of 'original', 'supervised', 'bridge', 'pivot', "
        "'zero-shot'; see 'continual-mt pairs --help'\n"
    )


def test_the_kinds_are_those_of_the_rule() -> None:
    assert tuple(Kind) == PREFERENCE


def test_scored_pivots_are_listed_without_a_kind_only(run: Any, pivots: Path) -> None:
    """de-en and es-de make the parent's own es-en a pivot, which runs only where it is named."""
    with Registry.open(pivots) as registry:
        registry.register_scores([score(registry, "es-en", "bleu", 9.0, kind="pivot:es-de+de-en")])
    words = ("pairs", "--home", pivots)
    assert "pivot through de" in run(*words).out
    assert [one["kind"] for one in json.loads(run(*words, "--json").out)][-1] == "pivot"
    original = run(*words, "--kind", "original")
    assert [line.split()[:2] for line in original.out.splitlines()] == [["pair", "kind"], ["es-en", "original"]]
    assert [one["kind"] for one in json.loads(run(*words, "--kind", "original", "--json").out)] == ["original"]
    assert json.loads(run(*words, "--kind", "pivot", "--json").out) == []


def test_registry_list(run: Any, shared_home: Path) -> None:
    result = run("registry", "list", "--home", shared_home)
    head, parent, *modules = result.out.splitlines()
    assert head.split()[:3] == ["name", "what", "parameters"]
    assert parent.startswith("es-en")
    assert "100.0%" in parent
    assert [line.split()[0] for line in modules] == ["es-en/es-de:1", "es-en/pt-en:1"]
    assert "new source pt, xattn" in modules[1]
    listed = json.loads(run("registry", "list", "--home", shared_home, "--json").out)
    assert [len(listed["parents"]), len(listed["modules"])] == [1, 2]


def test_registry_show_a_parent(run: Any, shared_home: Path) -> None:
    shown = run("registry", "show", "es-en", "--home", shared_home).out
    for line in ("parent: es-en", "pair: es-en", "MLflow run: run-7", "corpora:", "scores:", "spec:", "seed: 1"):
        assert line in shown.splitlines()
    assert "\nenvironment:\nthreads: 2\n\nspec:\nseed: 1\n" in shown
    assert "BSD-3-Clause" in shown
    assert "retention through pt-en:1" in shown


def test_registry_show_a_module(run: Any, shared_home: Path) -> None:
    shown = run("registry", "show", "pt-en", "--home", shared_home).out
    assert "module: es-en/pt-en:1" in shown
    assert "new side: source pt" in shown
    data = json.loads(run("registry", "show", "es-en/pt-en:1", "--home", shared_home, "--json").out)
    assert (data["name"], data["scope"]) == ("es-en/pt-en:1", "xattn")
    assert [score["kind"] for score in data["scores"]] == ["zero-shot", "retention"]


@pytest.mark.parametrize("name", ["basse", "es-enn", "pt-en:9", "other/pt-en"])
def test_registry_show_an_unknown_name(run: Any, shared_home: Path, name: str) -> None:
    result = run("registry", "show", name, "--home", shared_home)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: unknown ")
    assert "es-en" in result.err


def test_an_empty_registry(run: Any, tmp_path: Path) -> None:
    with Registry.open(tmp_path / "new", create=True):
        pass
    for words in (["pairs"], ["registry", "list"]):
        result = run(*words, "--home", tmp_path / "new")
        assert (result.code, result.out) == (0, "")
        assert "continual-mt parent train" in result.err
    assert json.loads(run("pairs", "--home", tmp_path / "new", "--json").out) == []


@pytest.mark.parametrize(
    "words",
    [
        ["pairs"],
        ["registry", "list"],
        ["registry", "show", "es-en"],
        ["registry", "search", "language=de"],
        ["registry", "lineage", "es-en"],
        ["registry", "alias", "pt-en@champion", "1"],
        ["registry", "tag", "es-en", "news"],
        ["registry", "delete", "es-en"],
        ["sequence", "show", "latin"],
        ["compare", "es-en", "original", "retention:pt-en"],
        ["translate", "es-en"],
        ["evaluate", "es-en", "--test", "a", "b"],
        ["align", "pt", "es", "--lexicon", "a"],
        ["dashboard", "--mlflow"],
        ["report", "report.html"],
    ],
)
def test_reading_makes_no_home(run: Any, tmp_path: Path, words: list[str]) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert str(tmp_path / "continual-mt-home") in result.err
    assert not list(tmp_path.iterdir())


def test_dashboard(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "my home"
    home.mkdir()
    (home / "mlflow.db").touch()
    expected = f"mlflow ui --backend-store-uri 'sqlite:///{home}/mlflow.db' --host 127.0.0.1 --port 5000\n"
    assert run("dashboard", "--mlflow", "--home", home).out == expected
    monkeypatch.setenv(TRACKING_VARIABLE, "postgresql://me:secret@there/runs")
    printed = run("dashboard", "--mlflow")
    assert '--backend-store-uri "$MLFLOW_TRACKING_URI"' in printed.out
    monkeypatch.setenv(TRACKING_VARIABLE, "https://me:secret@there")
    served = run("dashboard", "--mlflow")
    assert (served.code, served.out) == (0, "")
    assert TRACKING_VARIABLE in served.err
    assert "secret" not in printed.out + printed.err + served.err


def test_report(run: Any, home: Path, tmp_path: Path) -> None:
    written = tmp_path / "report.html"
    result = run("report", written, "--home", home)
    assert (result.code, result.out, result.err) == (0, "", f"wrote {written}\n")
    content = written.read_text(encoding="utf-8")
    assert content.startswith("<!doctype html>")
    assert "Parent es-en, es-en" in content
    failed = run("report", tmp_path / "missing" / "report.html", "--home", home)
    assert (failed.code, failed.err) == (
        1,
        f"error: {tmp_path}/missing/report.html: write failed: No such file or directory\n",
    )
