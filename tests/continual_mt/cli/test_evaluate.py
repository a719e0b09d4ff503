from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry import Registry

Files = dict[str, Path]


@pytest.fixture
def evaluate(run: Any, home: Path, corpus_files: Files) -> Any:
    def call(pair: str, *words: object) -> Any:
        source, target = pair.split("-")
        files = (corpus_files[source], corpus_files[target])
        return run("evaluate", pair, "--test", *files, "--beam", 1, "--home", home, *words)

    return call


def test_scores_are_printed_and_registered(evaluate: Any, home: Path) -> None:
    result = evaluate("pt-de", "--name", "django")
    assert result.code == 0
    assert "zero-shot pt-de" in result.err
    head, bleu, chrf = result.out.splitlines()
    assert head.split() == ["metric", "value", "copy", "of", "the", "source", "signature"]
    with Registry.open(home) as registry:
        scores = {score.metric: score for score in registry.scores() if score.test == "django"}
    assert bleu.split() == [
        "bleu",
        f"{scores['bleu'].value:.1f}",
        f"{scores['bleu'].copy_value:.1f}",
        scores["bleu"].signature,
    ]
    assert chrf.startswith("chrf")
    assert (scores["chrf"].kind, scores["chrf"].sentences, scores["chrf"].beam) == ("zero-shot", 12, 1)


def test_json(evaluate: Any) -> None:
    data = json.loads(evaluate("es-en", "--recipe", "retention:pt-en", "--json").out)
    assert data["recipe"]["kind"] == "retention"
    assert [score["metric"] for score in data["scores"]] == ["bleu", "chrf"]
    assert data["sentences"] == 12


def test_equal_logits_have_equal_digests(evaluate: Any, home: Path) -> None:
    with Registry.open(home) as registry:
        before = registry.scores()
    first, second = (evaluate("es-en", "--logits").out for _ in range(2))
    assert first == second
    digest, _, recipe = first.partition("  ")
    assert len(digest) == 64
    assert recipe.startswith("original es-en")
    other = json.loads(evaluate("es-en", "--recipe", "retention:pt-en", "--logits", "--json").out)
    assert other["logits"] != digest
    with Registry.open(home) as registry:
        assert registry.scores() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "magic"], "unknown kind of recipe 'magic'"),
        (["--recipe", "retention:fr-en"], "unknown module 'fr-en'"),
        (["--name", "a b"], "--name: "),
        (["--parent", "other"], "unknown parent 'other'"),
        (["--test", "missing.es", "missing.en"], "missing.es"),
    ],
)
def test_misuse(evaluate: Any, words: list[str], message: str) -> None:
    result = evaluate("es-en", *words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_misaligned_test_set(evaluate: Any, corpus_files: Files) -> None:
    corpus_files["en"].write_text("one\n", encoding="utf-8")
    result = evaluate("es-en")
    assert (result.code, result.out) == (2, "")
    assert "12 lines, but" in result.err


def test_an_unknown_pair(evaluate: Any) -> None:
    result = evaluate("de-en")
    assert result.code == 2
    assert "unknown pair 'de-en'" in result.err
