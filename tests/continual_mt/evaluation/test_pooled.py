"""The test over several test sets: of one it agrees with sacreBLEU, and each counts equally."""

from __future__ import annotations

import random

import pytest

from continual_mt.errors import InputError
from continual_mt.evaluation.metrics import bleu
from continual_mt.evaluation.pooled import TwoTranslations, compare_pooled
from continual_mt.evaluation.significance import compare

WORDS = ("the house", "a tree", "river", "small", "large green", "old", "new", "walks", "sees", "under", "over", "far")


def translated(seed: int, right: tuple[int, int], sentences: int = 60) -> TwoTranslations:
    """Two translations, each with so many lines in percent that are the reference's."""
    chance = random.Random(seed)

    def sentence() -> str:
        return " ".join(chance.choices(WORDS, k=8))

    references = [sentence() for _ in range(sentences)]
    first, second = ([line if chance.random() * 100 < share else sentence() for line in references] for share in right)
    return TwoTranslations(first, second, references, "en")


@pytest.mark.parametrize("right", [(30, 80), (50, 55), (70, 40)])
def test_of_one_test_set_it_agrees_with_sacrebleu(right: tuple[int, int]) -> None:
    found = translated(1, right)
    pooled, single = compare_pooled([found]), compare(*found, metrics=("bleu",))[0]
    assert pooled.pairs == 1
    assert pooled.difference == pytest.approx(single.difference)
    assert pooled.p_value == pytest.approx(single.p_value, abs=0.03)
    assert pooled.is_second_better == (single.verdict == "the second is better")


def test_each_test_set_counts_equally() -> None:
    small, large = translated(2, (20, 90), 20), translated(3, (60, 50), 200)
    pooled = compare_pooled([small, large])
    differences = [
        bleu(one.second, one.references, "en") - bleu(one.first, one.references, "en") for one in (small, large)
    ]
    assert pooled.pairs == 2
    assert pooled.difference == pytest.approx(sum(differences) / 2)


def test_small_differences_on_many_test_sets_are_significant_together() -> None:
    several = [translated(seed, (50, 62)) for seed in range(10, 22)]
    assert sum(compare_pooled([one]).p_value < 0.05 for one in several) < len(several) / 2
    assert compare_pooled(several).is_second_better


def test_equal_translations_do_not_differ() -> None:
    found = translated(4, (50, 50))
    same = found._replace(second=found.first)
    pooled = compare_pooled([same])
    assert (pooled.difference, pooled.p_value, pooled.is_second_better) == (0.0, 1.0, False)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match=r"^no test sets to compare on; expected at least one$"):
        compare_pooled([])
    with pytest.raises(InputError, match="1 hypotheses and 2 references; expected equal numbers"):
        compare_pooled([TwoTranslations(["a"], ["a", "b"], ["a", "b"], "en")])
