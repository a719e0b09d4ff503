from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.errors import InputError, UnknownNameError
from continual_mt.evaluation.forgetting import (
    Matrix,
    PairSet,
    averages,
    backward_transfer,
    forgetting,
    mean_forgetting,
    metric_for,
    retention,
)
from continual_mt.languages import Pair

ES_EN, PT_EN, ES_DE, FR_EN, PT_DE = map(Pair.parse, ("es-en", "pt-en", "es-de", "fr-en", "pt-de"))
TRAINED = {ES_EN: 0, PT_EN: 1, ES_DE: 2, FR_EN: 3}

# Rows are positions: the parent, then pt-en, es-de and fr-en are added; pt-de can be run from position 2 on.
THROUGH = Matrix(
    "bleu",
    (ES_EN, PT_EN, ES_DE, FR_EN, PT_DE),
    (
        (40.0, None, None, None, None),
        (30.0, 20.0, None, None, None),
        (35.0, 24.0, 10.0, None, 5.0),
        (20.0, 18.0, 11.0, 25.0, 4.0),
    ),
    TRAINED,
)


@pytest.mark.parametrize(
    ("pairs", "metric"), [((ES_EN,), "bleu"), ((ES_EN, PT_EN), "bleu"), ((ES_EN, ES_DE), "chrf"), ((PT_DE,), "bleu")]
)
def test_several_target_languages_are_averaged_in_chrf(pairs: tuple[Pair, ...], metric: str) -> None:
    assert metric_for(pairs) == PairSet("some", pairs).metric == metric


def test_a_pair_set_needs_different_pairs() -> None:
    with pytest.raises(InputError, match=r"^pairs: is empty; expected at least one pair"):
        metric_for([])
    for pairs in ((), (ES_EN, ES_EN)):
        with pytest.raises(InputError, match=r"^pair set 'trained': is \[.*\]; expected one or more different pairs"):
            PairSet("trained", pairs)


@pytest.mark.parametrize(
    ("pairs", "rows", "message"),
    [
        ((ES_EN,), (), "^score matrix: has no rows; expected one for position 0"),
        ((ES_EN, ES_EN), ((1.0, 2.0),), "^score matrix: has columns es-en, es-en; expected each pair once"),
        ((ES_EN, PT_EN), ((1.0, 2.0), (3.0,)), "^score matrix, position 1: has 1 scores; expected 2, one per pair"),
    ],
)
def test_a_matrix_has_a_score_for_each_pair_and_position(
    pairs: tuple[Pair, ...], rows: tuple[tuple[float, ...], ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Matrix("bleu", pairs, rows)


def test_columns() -> None:
    assert THROUGH.column(PT_EN) == (None, 20.0, 24.0, 18.0)
    assert THROUGH.last == 3
    assert THROUGH.earlier == (ES_EN, PT_EN, ES_DE)
    with pytest.raises(
        UnknownNameError, match=r"^score matrix: unknown pair de-en; expected one of: es-en, pt-en, es-de"
    ):
        THROUGH.column(Pair("de", "en"))
    with pytest.raises(UnknownNameError, match="expected one of: none"):
        Matrix("bleu", (), ((),)).column(ES_EN)


def test_where_a_pair_was_learned() -> None:
    assert [THROUGH.learned(pair) for pair in THROUGH.pairs] == [0, 1, 2, 3, 2]
    assert Matrix("bleu", (PT_DE,), ((None,), (None,))).learned(PT_DE) is None


def test_averages_are_over_the_same_pairs_at_every_position() -> None:
    assert averages(THROUGH, PairSet("first two", (ES_EN, PT_EN))) == (None, 25.0, 29.5, 19.0)
    assert averages(THROUGH, PairSet("parent", (ES_EN,))) == (40.0, 30.0, 35.0, 20.0)


def test_backward_transfer_is_last_minus_first_over_earlier_pairs() -> None:
    assert backward_transfer(THROUGH) == pytest.approx(((20 - 40) + (18 - 20) + (11 - 10)) / 3)
    assert backward_transfer(THROUGH, [ES_DE]) == 1.0
    assert backward_transfer(THROUGH, [ES_EN, FR_EN]) is None  # fr-en was trained at the last position


def test_forgetting_in_both_forms() -> None:
    found = [forgetting(THROUGH, pair) for pair in THROUGH.pairs]
    assert [(one.first, one.best, one.last) for one in found] == [
        (40.0, 40.0, 20.0),
        (20.0, 24.0, 18.0),
        (10.0, 10.0, 11.0),
        (None, None, 25.0),
        (5.0, 5.0, 4.0),
    ]
    assert [one.since_first for one in found] == [20.0, 2.0, -1.0, None, 1.0]
    assert [one.since_best for one in found] == [20.0, 6.0, -1.0, None, 1.0]
    assert mean_forgetting(THROUGH) == (pytest.approx(7.0), pytest.approx(25 / 3))
    assert found[1].to_json() == {
        "pair": "pt-en",
        "learned": 1,
        "first": 20.0,
        "best": 24.0,
        "last": 18.0,
        "since_first": 2.0,
        "since_best": 6.0,
    }


def test_the_best_score_is_over_measured_positions() -> None:
    matrix = Matrix("bleu", (ES_EN,), ((30.0,), (None,), (31.0,), (29.0,)), {ES_EN: 0})
    assert (forgetting(matrix, ES_EN).since_first, forgetting(matrix, ES_EN).since_best) == (1.0, 2.0)


@pytest.mark.parametrize("rows", [((None,), (30.0,), (20.0,)), ((30.0,), (20.0,), (None,)), ((30.0,),)])
def test_without_a_first_or_last_score_forgetting_is_undefined(rows: tuple[tuple[float | None, ...], ...]) -> None:
    matrix = Matrix("bleu", (ES_EN,), rows, {ES_EN: 0})
    assert backward_transfer(matrix) is None
    assert mean_forgetting(matrix) == (None, None)
    assert forgetting(matrix, ES_EN).since_first is forgetting(matrix, ES_EN).since_best is None


def test_retention_is_percent_of_the_original_pairs_bleu() -> None:
    kept = retention(THROUGH)
    assert kept.values == (75.0, 87.5, 50.0)
    assert (kept.mean, kept.worst) == (pytest.approx(212.5 / 3), 50.0)
    measures = {"values": [75.0, 87.5, 50.0], "mean": kept.mean, "worst": 50.0}
    assert kept.to_json() == measures | {"pairs": [str(pair) for pair in kept.pairs]}


def test_retention_of_several_pairs_is_their_mean() -> None:
    pairs, trained = (ES_EN, PT_EN), {ES_EN: 0, PT_EN: 0}
    kept = retention(Matrix("bleu", pairs, ((40.0, 20.0), (30.0, 20.0), (20.0, None)), trained))
    assert (kept.pairs, kept.values) == (pairs, (87.5, None))


@pytest.mark.parametrize("whole", [None, 0.0])
def test_retention_is_undefined_without_a_score_at_position_0(whole: float | None) -> None:
    kept = retention(Matrix("bleu", (ES_EN,), ((whole,), (10.0,)), {ES_EN: 0}))
    assert (kept.values, kept.mean, kept.worst) == ((None,), None, None)


def test_retention_leaves_out_unmeasured_positions() -> None:
    kept = retention(Matrix("bleu", (ES_EN,), ((40.0,), (None,), (10.0,)), {ES_EN: 0}))
    assert (kept.values, kept.mean, kept.worst) == ((None, 25.0), 25.0, 25.0)


def test_retention_needs_bleu_and_the_parents_pair() -> None:
    with pytest.raises(InputError, match=r"^retention: the matrix has metric chrf; expected bleu"):
        retention(Matrix("chrf", (ES_EN,), ((1.0,),), {ES_EN: 0}))


def test_forgetting_is_measured_only_where_higher_is_better() -> None:
    matrix = Matrix("offtarget", (ES_EN,), ((1.0,), (2.0,)), {ES_EN: 0})
    message = r"^forgetting: the matrix has metric offtarget; expected one in which higher is better$"
    for measure in (lambda: forgetting(matrix, ES_EN), lambda: backward_transfer(matrix)):
        with pytest.raises(InputError, match=message):
            measure()
    with pytest.raises(InputError, match=r"^retention: the matrix has no column for the parent's own pair"):
        retention(Matrix("bleu", (PT_EN,), ((None,),), {PT_EN: 1}))


def test_json() -> None:
    matrix = Matrix("chrf", (ES_EN, PT_DE), ((40.0, None), (30.5, 5.0)), {ES_EN: 0})
    assert matrix.to_json() == {
        "metric": "chrf",
        "pairs": ["es-en", "pt-de"],
        "trained": {"es-en": 0},
        "rows": [[40.0, None], [30.5, 5.0]],
    }


POINTS = st.floats(0, 100)


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Matrices in which each pair is measured at every position from where it was trained."""
    pairs = tuple(TRAINED)
    last = draw(st.integers(1, 5))
    rows = tuple(
        tuple(draw(POINTS) if TRAINED[pair] <= position else None for pair in pairs) for position in range(last + 1)
    )
    return Matrix("bleu", pairs, rows, TRAINED)


@given(matrices())
def test_the_best_is_never_less_than_the_first(matrix: Matrix) -> None:
    for pair in matrix.earlier:
        one = forgetting(matrix, pair)
        assert one.since_first is not None
        assert one.since_best is not None
        assert one.since_best >= one.since_first
    first, best = mean_forgetting(matrix)
    assert first is not None
    assert best is not None
    assert best >= first - 1e-9
    assert backward_transfer(matrix) == pytest.approx(-first)


@given(POINTS, st.integers(1, 5))
def test_constant_scores_mean_no_forgetting(value: float, last: int) -> None:
    rows = tuple(tuple(value if place <= position else None for place in (0, 1, 2, 3)) for position in range(last + 1))
    matrix = Matrix("bleu", tuple(TRAINED), rows, TRAINED)
    assert backward_transfer(matrix) == 0
    assert mean_forgetting(matrix) == (0, 0)
    if value >= 0.01:
        assert retention(matrix).mean == retention(matrix).worst == pytest.approx(100)


@given(matrices(), st.permutations(range(4)))
def test_the_order_of_the_columns_does_not_matter(matrix: Matrix, order: list[int]) -> None:
    turned = Matrix(
        matrix.metric,
        tuple(matrix.pairs[i] for i in order),
        tuple(tuple(row[i] for i in order) for row in matrix.rows),
        matrix.trained,
    )
    assert mean_forgetting(turned) == pytest.approx(mean_forgetting(matrix))
    assert retention(turned) == retention(matrix)
