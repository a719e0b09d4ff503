from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from continual_mt.evaluation.metric_names import METRICS
from continual_mt.languages import Pair
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
    head, bleu, chrf, chrfpp, off_target = result.out.splitlines()
    assert head.split()[:7] == ["metric", "value", "copy", "of", "the", "source", "references"]
    with Registry.open(home) as registry:
        scores = {score.metric: score for score in registry.scores() if score.test == "django"}
    assert bleu.split() == [
        "bleu",
        f"{scores['bleu'].value:.1f}",
        f"{scores['bleu'].copy_value:.1f}",
        "-",
        scores["bleu"].signature,
    ]
    rate = scores["offtarget"]
    of_references = rate.reference_value
    assert of_references is not None
    assert off_target.split()[:4] == [
        "offtarget",
        *(f"{value:.1f}" for value in (rate.value, rate.copy_value, of_references)),
    ]
    assert "|library:py3langid|languages:139|version:" in off_target
    assert "|languages:ace,af,am," in rate.signature
    assert "|nc:6|nw:2|" in chrfpp
    assert chrf.startswith("chrf")
    assert (scores["chrf"].kind, scores["chrf"].sentences, scores["chrf"].beam) == ("zero-shot", 12, 1)


def test_the_wrong_language_is_in_json(run: Any, home: Path, tmp_path: Path) -> None:
    """The references are English here, and so long that each is identified."""
    lines = [f"This is sentence number {number} of a test that was written in English." for number in range(8)]
    for name in ("test.es", "test.de"):
        (tmp_path / name).write_text("".join(f"{name} {line}\n" for line in lines), encoding="utf-8")
    files = tmp_path / "test.es", tmp_path / "test.de"
    data = json.loads(run("evaluate", "es-de", "--test", *files, "--beam", 1, "--home", home, "--json").out)
    rate = data["scores"][3]
    assert (rate["metric"], rate["copy_value"], rate["reference_value"]) == ("offtarget", 100, 100)
    assert data["wrong_language"] is False
    (found,) = [one for one in json.loads(run("pairs", "--home", home, "--json").out) if one["pair"] == "es-de"]
    assert found["metrics"] == {score["metric"]: score["value"] for score in data["scores"]}
    assert (found["offtarget_of_references"], found["wrong_language"]) == (100, False)


def test_json(evaluate: Any) -> None:
    data = json.loads(evaluate("es-en", "--recipe", "retention:pt-en", "--json").out)
    assert data["recipe"]["kind"] == "retention"
    assert [score["metric"] for score in data["scores"]] == list(METRICS)
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
    ("words", "signature"),
    [
        (["--lowercase"], "nrefs:1|case:lc|"),
        (["--reference", "shouted.en"], "nrefs:2|case:mixed|"),
        (["--reference", "shouted.en", "--reference", "shouted.en", "--lowercase"], "nrefs:3|case:lc|"),
    ],
)
def test_a_variant_is_registered_beside_what_the_pair_is_shown_with(
    evaluate: Any, home: Path, corpus_files: Files, tmp_path: Path, words: list[str], signature: str
) -> None:
    (tmp_path / "shouted.en").write_text(corpus_files["en"].read_text(encoding="utf-8").upper(), encoding="utf-8")
    data = json.loads(evaluate("pt-en", "--name", "django", "--json", *words).out)
    *quality, off_target = data["scores"]
    assert [score["signature"].startswith(signature) for score in quality] == [True] * 3
    assert off_target["signature"].startswith(signature.partition("|")[0] + "|library:")  # case does not count
    with Registry.open(home) as registry:
        plain = registry.scores(Pair("pt", "en"))
        variants = registry.scores(Pair("pt", "en"), variants=True)
        (shown,) = [entry.score for entry in registry.pairs() if entry.pair == Pair("pt", "en")]
    assert [score.signature.split("|")[:2] for score in plain[:3]] == [["nrefs:1", "case:mixed"]] * 3
    assert plain[3].signature.startswith("nrefs:1|library:")
    written = [score.to_json() for score in variants if score not in plain]
    assert written == (data["scores"] if "--reference" in words else quality)
    assert shown is not None
    assert (shown.value, shown.signature) == (plain[0].value, plain[0].signature)
    assert {score.test_digest for score in variants} == {plain[0].test_digest, data["scores"][0]["test_digest"]}
    assert (data["scores"][0]["test_digest"] == plain[0].test_digest) == ("--reference" not in words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reference", "short.en"], "short.en: 1 lines, but the test set has 12; expected equally many"),
        (["--reference", "missing.en"], "missing.en: no such file"),
        (["--reference", "blank.en"], "blank.en: no text; expected a reference translation"),
        (["--lowercase", "--logits"], "--logits prints no scores. Fix: leave out --reference and --lowercase"),
        (["--recipe", "magic"], "unknown recipe 'magic'; expected original"),
        (["--recipe", "retention:fr-en"], "unknown module 'fr-en'"),
        (["--name", "a b"], "--name: "),
        (["--parent", "other"], "unknown parent 'other'"),
        (["--test", "missing.es", "missing.en"], "missing.es"),
        (["--test", "-", "short.en"], "-: is no file. Fix: write /dev/stdin for standard input"),
        (["--test", "short.en", "short.en"], "--test: source and target are the same file"),
        (["--test", "http://127.0.0.1/a?key=b", "short.en"], "--test, source: the URL has a user or a query"),
    ],
)
def test_misuse(evaluate: Any, words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "short.en").write_text("one\n", encoding="utf-8")
    (tmp_path / "blank.en").write_text("\n" * 12, encoding="utf-8")
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


def test_pipes_are_read_once(run: Any, home: Path, corpus_files: Files, tmp_path: Path) -> None:
    pipes = []
    for name in ("es", "en", "pt"):
        os.mkfifo(tmp_path / name)
        pipes.append(tmp_path / name)
        write = threading.Thread(target=pipes[-1].write_bytes, args=(corpus_files[name].read_bytes(),), daemon=True)
        write.start()
    words = ("--test", *pipes[:2], "--reference", pipes[2], "--beam", 1, "--home", home)
    result = run("evaluate", "es-en", *words)
    assert (result.code, "on 12 sentences" in result.err) == (0, True)


def test_a_pivot_is_scored_beside_the_others(evaluate: Any, pivots: Path, corpus_files: Files) -> None:
    result = evaluate("es-en", "--recipe", "pivot:es-de+de-en", "--name", "django")
    assert result.code == 0
    assert re.search(
        r"pivot es-en through de: .*, on 12 sentences \(2 models per sentence, [0-9,]+ parameters\)", result.err
    )
    assert result.out.splitlines()[1].startswith("bleu")
    data = json.loads(evaluate("es-en", "--recipe", "pivot:es-de+de-en", "--name", "django", "--json").out)
    assert (data["recipe"]["kind"], data["recipe"]["models"]) == ("pivot", 2)
    direct = [json.loads(evaluate(pair, "--json").out)["cost"] for pair in ("es-de", "de-en")]
    assert [cost["models"] for cost in direct] == [1, 1]
    assert data["cost"] == {"models": 2, "parameters": sum(cost["parameters"] for cost in direct)}
    assert [leg["pair"] for leg in data["recipe"]["legs"]] == ["es-de", "de-en"]
    with Registry.open(pivots) as registry:
        scores = registry.scores(Pair("es", "en"), kind="pivot")
        assert [(score.metric, score.sentences, score.beam) for score in scores] == [
            (metric, 12, 1) for metric in METRICS
        ]
        assert {score.recipe for score in scores} == {data["recipe"]["digest"]}
        assert all(score.logits is None and score.computed_on for score in scores)
        sources = corpus_files["es"].read_text("utf-8").splitlines()
        translated = registry.assemble(scores[0].recipe).translate(sources, beam=1)
        assert registry.texts.read(scores[0].hypotheses or "") == translated


def test_a_pivot_has_no_logits(evaluate: Any, pivots: Path) -> None:
    result = evaluate("es-en", "--recipe", "pivot:es-de+de-en", "--logits")
    assert result.code == 2
    assert "--logits: pivot es-en has two models, and the second reads what the first wrote" in " ".join(
        result.err.split()
    )
    assert "Fix: evaluate es-de and de-en" in " ".join(result.err.split())
