from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.evaluation.metric_names import METRICS
from registry import Registry
from tests.continual_mt.cli.conftest import score

Files = dict[str, Path]


@pytest.fixture
def evaluate(run: Any, home: Path, corpus_files: Files) -> Any:
    """Score a recipe of es-en on real text, which stores its translations."""

    def call(recipe: str, *words: object) -> None:
        files = (corpus_files["es"], corpus_files["en"])
        result = run("evaluate", "es-en", "--test", *files, "--recipe", recipe, "--beam", 1, "--home", home, *words)
        assert result.code == 0

    return call


def test_a_difference_is_shown_with_its_p_value(run: Any, evaluate: Any, home: Path) -> None:
    for recipe in ("original", "retention:pt-en"):
        evaluate(recipe, "--name", "django")
    result = run("compare", "es-en", "original", "retention:pt-en", "--home", home)
    assert result.code == 0
    assert "first:  original es-en: source es-en, xattn es-en, target es-en\nsecond: retention es-en:" in result.err
    assert "on 12 sentences of django, beam 1; paired bootstrap, 1,000 resamples" in result.err
    head, *rows = [re.split("  +", line) for line in result.out.splitlines()]
    assert head == ["metric", "first", "second", "difference", "p-value", "at p < 0.05"]
    assert [row[0] for row in rows] == ["BLEU", "chrF", "chrF++", "off-target %"]
    assert all(len(row) == 6 and 0 < float(row[4]) <= 1 for row in rows)


def test_further_references_and_lower_case(
    run: Any, evaluate: Any, home: Path, corpus_files: Files, tmp_path: Path
) -> None:
    for recipe in ("original", "retention:pt-en"):
        evaluate(recipe, "--name", "django")
    (second := tmp_path / "second.en").write_bytes(corpus_files["pt"].read_bytes())
    words = ("compare", "es-en", "original", "retention:pt-en", "--test", "django", "--home", home)
    result = run(*words, "--reference", second, "--lowercase")
    assert "12 sentences of django, beam 1, 2 references, ignoring case; paired bootstrap" in result.err
    data = json.loads(run(*words, "--reference", second, "--lowercase", "--json").out)
    assert (data["references"], data["lowercase"]) == (2, True)
    signatures = {one["metric"]: one["signature"] for one in data["comparisons"]}
    assert list(signatures) == list(METRICS)
    assert all(signature.startswith("nrefs:2|") for signature in signatures.values())
    assert [metric for metric, signature in signatures.items() if "case:lc" not in signature] == ["offtarget"]
    plain = json.loads(run(*words, "--json").out)
    assert (plain["references"], plain["lowercase"]) == (1, False)
    second.write_text("one\n", encoding="utf-8")
    refused = run(*words, "--reference", second)
    assert refused.code == 2
    assert "second.en: 1 lines, but the test set has 12" in refused.err


def test_json_agrees_with_the_scores(run: Any, evaluate: Any, home: Path) -> None:
    for recipe in ("original", "retention:pt-en"):
        evaluate(recipe, "--name", "django")
    words = ("compare", "es-en", "original", "retention:pt-en", "--test", "django", "--metric", "chrf", "--json")
    data = json.loads(run(*words, "--home", home).out)
    with Registry.open(home) as registry:
        values = {s.kind: s.value for s in registry.scores() if (s.test, s.metric) == ("django", "chrf")}
    (compared,) = data["comparisons"]
    assert (compared["first"], compared["second"]) == (values["original"], values["retention"])
    assert compared["difference"] == compared["second"] - compared["first"]
    assert 0 < compared["p_value"] <= 1
    assert (compared["metric"], compared["resamples"], data["sentences"], data["beam"]) == ("chrf", 1000, 12, 1)
    assert [data["first"]["kind"], data["second"]["cross_attention"]] == ["original", "es-en/pt-en:1"]


def test_two_versions_of_a_module(run: Any, home: Path, corpus_files: Files, make_module: Any) -> None:
    files = (corpus_files["pt"], corpus_files["en"])
    with Registry.open(home) as registry:
        lineage = registry.module("pt-en").lineage
    for version in (1, 2):
        if version == 2:
            module: Module = make_module("pt-en", seed=7)
            with Registry.open(home) as registry:
                registry.register_module("es-en", module, lineage=lineage)
        assert run("evaluate", "pt-en", "--test", *files, "--beam", 1, "--home", home).code == 0
    data = json.loads(run("compare", "pt-en", "pt-en:1", "pt-en:2", "--home", home, "--json").out)
    assert [data["first"]["source"], data["second"]["source"]] == ["es-en/pt-en:1", "es-en/pt-en:2"]


def test_scores_without_stored_translations_have_to_be_repeated(run: Any, evaluate: Any, home: Path) -> None:
    # The scores in the home have no translations, like scores from an older version.
    with Registry.open(home) as registry:
        registry.register_scores([score(registry, "es-en", "bleu", 12.0, kind="retention:es-de")])
    result = run("compare", "es-en", "original", "retention:es-de", "--home", home)
    assert (result.code, result.out) == (2, "")
    assert "error: the translations of 'test' by the recipe original es-en, beam 5, were not kept" in result.err
    assert "run 'continual-mt evaluate es-en --test SOURCE REFERENCE --recipe RECIPE' again" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("es-en", "original", "original"), "both are the same model, so there is nothing to compare"),
        (("es-en", "original", "retention:es-de"), "no test set was translated with the same beam by both of these"),
        (("es-en", "original", "best"), "unknown recipe 'best'; expected original, supervised, bridge, pivot"),
        (("es-en", "original", "pt-en:1"), "es-en/pt-en:1 was trained on pt-en, so it is no recipe of es-en"),
        (
            ("es-en", "original", "retention:pt-en", "--test", "news"),
            "unknown common test set 'news'; expected one of: ",
        ),
        (("es-en", "original", "retention:pt-en", "--metric", "ter"), "see 'continual-mt compare --help'"),
    ],
)
def test_what_cannot_be_compared(run: Any, shared_home: Path, words: tuple[str, ...], message: str) -> None:
    result = run("compare", *words, "--home", shared_home)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert message in result.err


def test_a_pivot_is_compared_with_the_direct_recipe(run: Any, evaluate: Any, pivots: Path) -> None:
    for recipe in ("original", "pivot:es-de+de-en"):
        evaluate(recipe, "--name", "django")
    result = run("compare", "es-en", "original", "pivot:es-de+de-en", "--home", pivots)
    assert result.code == 0
    assert "first:  original es-en: source es-en, xattn es-en, target es-en\n" in result.err
    assert re.search(r"second: pivot es-en through de: .* \(2 models per sentence\)\n", result.err)
    data = json.loads(run("compare", "es-en", "original", "pivot:es-de+de-en", "--home", pivots, "--json").out)
    assert (data["second"]["kind"], data["second"]["models"]) == ("pivot", 2)
