from __future__ import annotations

import os

import pytest

from continual_mt.errors import InputError, LanguageError
from continual_mt.evaluation.metric_names import QUALITY_METRICS
from continual_mt.evaluation.metrics import score
from continual_mt.evaluation.significance import RESAMPLES, SEED, compare


@pytest.fixture(scope="module")
def references(django_catalogs: dict[str, list[str]]) -> list[str]:
    return django_catalogs["en"][:120]


@pytest.fixture(scope="module")
def good(references: list[str]) -> list[str]:
    """Every fourth sentence lacks its last word."""
    return [text.rpartition(" ")[0] if i % 4 == 0 else text for i, text in enumerate(references)]


@pytest.fixture(scope="module")
def bad(references: list[str]) -> list[str]:
    """Every second sentence lacks its first word."""
    return [text.partition(" ")[2] if i % 2 == 0 else text for i, text in enumerate(references)]


def test_values_equal_those_of_score_and_the_difference_is_second_minus_first(
    good: list[str], bad: list[str], references: list[str]
) -> None:
    compared = compare(good, bad, references, "en", QUALITY_METRICS)
    assert [one.metric for one in compared] == list(QUALITY_METRICS)
    assert [one.first for one in compared] == [value.value for value in score(good, references, "en")][:3]
    assert [one.second for one in compared] == [value.value for value in score(bad, references, "en")][:3]
    for one in compared:
        assert one.difference == one.second - one.first < 0
        assert one.p_value < 0.05
        assert f"bs:{RESAMPLES}|seed:{SEED}|" in one.signature
        assert one.to_json()["resamples"] == 1000


def test_the_order_changes_only_the_sign(good: list[str], bad: list[str], references: list[str]) -> None:
    (one,), (other,) = (compare(*both, references, "en", ["bleu"]) for both in ((good, bad), (bad, good)))
    assert one.p_value == other.p_value
    assert one.difference == -other.difference


def test_a_small_difference_is_not_significant(good: list[str], references: list[str]) -> None:
    other = [*good[1:2], *good[1:]]
    for one in compare(good, other, references, "en"):
        assert one.p_value > 0.05


def test_equal_translations_are_not_significantly_different(good: list[str], references: list[str]) -> None:
    assert [(one.difference, one.p_value) for one in compare(good, list(good), references, "en")] == [(0, 1)] * 4


def test_two_scores_of_zero_are_not_significantly_different(references: list[str]) -> None:
    empty, wrong = ["" for _ in references], ["π" for _ in references]
    compared = compare(empty, wrong, references, "en", QUALITY_METRICS)
    assert [(one.difference, one.p_value) for one in compared] == [(0, 1)] * 3


def test_fewer_translations_in_another_language_are_better(
    good: list[str], references: list[str], django_catalogs: dict[str, list[str]]
) -> None:
    german = django_catalogs["de"][: len(references)]
    (one,) = compare(good, german, references, "en", ["offtarget"])
    assert (one.metric, one.verdict) == ("offtarget", "the first is better")
    assert one.difference > 50
    assert one.p_value < 0.05
    assert f"bs:{RESAMPLES}|seed:{SEED}|library:py3langid|languages:ace," in one.signature
    (other,) = compare(german, good, references, "en", ["offtarget"])
    assert (other.difference, other.verdict) == (-one.difference, "the second is better")


def test_a_language_that_cannot_be_identified(good: list[str], references: list[str]) -> None:
    assert [one.metric for one in compare(good, good, references, "wo")] == list(QUALITY_METRICS)
    with pytest.raises(LanguageError, match=r"^off-target rate: py3langid .* does not identify wo; expected one of"):
        compare(good, good, references, "wo", ["offtarget"])


def test_the_seed_does_not_depend_on_the_environment(
    good: list[str], bad: list[str], references: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    fixed = compare(good, bad, references, "en")
    assert "SACREBLEU_SEED" not in os.environ
    monkeypatch.setenv("SACREBLEU_SEED", "none")
    assert compare(good, bad, references, "en") == fixed
    assert os.environ["SACREBLEU_SEED"] == "none"


def test_the_tokenization_is_that_of_the_language() -> None:
    (one,) = compare(["我喜欢读书。", "好"], ["我喜欢看书。", "好"], ["我喜欢看书。", "好"], "zh", ["bleu"])
    assert "tok:zh" in one.signature


@pytest.mark.parametrize("counts", [(2, 2, 1), (1, 2, 2), (2, 1, 2), (0, 0, 0)])
def test_lines_must_match(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"^scoring: . hypotheses and . references; expected equal numbers"):
        compare(*(["a b"] * count for count in counts), "en")
