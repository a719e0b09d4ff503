from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.errors import IncompatibleError
from continual_mt.evaluation.forgetting import Matrix
from continual_mt.evaluation.transfer import Coverage, coverage, forward_transfer, order_transfer
from continual_mt.languages import Pair

ES_EN, PT_EN, ES_DE, FR_EN = map(Pair.parse, ("es-en", "pt-en", "es-de", "fr-en"))
LATER = Matrix("bleu", (PT_EN, FR_EN), ((None, None), (20.0, None), (19.0, 26.5)), {PT_EN: 1, FR_EN: 2})
FIRST = Matrix("bleu", (FR_EN,), ((None,), (24.0,), (22.0,)), {FR_EN: 1})


def test_forward_transfer_is_against_scratch_on_the_same_pair() -> None:
    transfer = forward_transfer("bleu", {PT_EN: 35.0, ES_DE: 19.5, FR_EN: 9.0}, {PT_EN: 31.0, ES_DE: 18.5, ES_EN: 1.0})
    assert transfer.values == {PT_EN: 4.0, ES_DE: 1.0}
    assert transfer.mean == 2.5
    assert transfer.to_json() == {"metric": "bleu", "values": {"pt-en": 4.0, "es-de": 1.0}, "mean": 2.5}
    assert forward_transfer("bleu", {PT_EN: 35.0}, {}).mean is None


def test_order_transfer_is_later_minus_first() -> None:
    assert order_transfer(LATER, FIRST, FR_EN) == 2.5


def test_order_transfer_is_none_without_a_score() -> None:
    unmeasured = Matrix("bleu", (FR_EN,), ((None,), (None,)), {FR_EN: 1})
    begun = Matrix("bleu", (FR_EN,), ((None,),), {FR_EN: 1})
    assert order_transfer(LATER, unmeasured, FR_EN) is None
    assert order_transfer(LATER, begun, FR_EN) is None


@pytest.mark.parametrize(
    ("later", "first", "message"),
    [
        (
            FIRST,
            LATER,
            r"^order transfer of fr-en: it was trained at position 1 and at position 2; expected position 2 or later",
        ),
        (
            LATER,
            Matrix("bleu", (PT_EN,), ((1.0,),), {PT_EN: 1}),
            "it was trained at position 2 and at no position; expected",
        ),
        (
            LATER,
            Matrix("chrf", FIRST.pairs, FIRST.rows, FIRST.trained),
            "^order transfer of fr-en: the matrices have metrics bleu and chrf; expected the same",
        ),
    ],
)
def test_order_transfer_needs_two_orders(later: Matrix, first: Matrix, message: str) -> None:
    with pytest.raises(IncompatibleError, match=message):
        order_transfer(later, first, FR_EN)


def test_coverage_counts_every_source_into_every_target() -> None:
    additions = [PT_EN, ES_DE, FR_EN, Pair("de", "en"), Pair("es", "it")]
    counted = [Coverage(0, 0), Coverage(1, 0), Coverage(2, 1), Coverage(3, 2), Coverage(4, 2), Coverage(5, 5)]
    assert list(coverage(ParentLanguages.of_pair(ES_EN), additions)) == counted  # de-en adds no de-de
    assert counted[2].to_json() == {"supervised": 2, "zero_shot": 1}


def test_additions_from_scratch_make_no_zero_shot_pairs() -> None:
    assert coverage(ParentLanguages.of_pair(ES_EN), [PT_EN, ES_DE], from_scratch=[PT_EN])[-1] == Coverage(2, 0)


@pytest.mark.parametrize("pair", ["fr-de", "es-en"])
def test_additions_share_one_side_with_the_parent(pair: str) -> None:
    with pytest.raises(IncompatibleError, match=f"^{pair} (shares no side with|is the pair of) the parent"):
        coverage(ParentLanguages.of_pair(ES_EN), [Pair.parse(pair)])


@given(st.lists(st.sampled_from(["pt-en", "fr-en", "de-en", "es-de", "es-it", "es-pt"]), unique=True))
def test_coverage_never_shrinks(pairs: list[str]) -> None:
    counts = coverage(ParentLanguages.of_pair(ES_EN), [Pair.parse(pair) for pair in pairs])
    assert [count.supervised for count in counts] == list(range(len(pairs) + 1))
    assert sorted(count.zero_shot for count in counts) == [count.zero_shot for count in counts]
