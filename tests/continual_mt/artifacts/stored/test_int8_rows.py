from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.artifacts.stored.int8_rows import (
    LARGEST,
    are_as_written,
    is_matrix,
    quantised,
    restored,
    scales_of,
    through_int8,
)

SMALLEST_NORMAL, LARGEST_FLOAT = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max

# Of all magnitudes from denormal ones to the largest; in a row they are often of one.
magnitudes = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(-2, 2, width=32))
matrices = st.integers(3, 7).flatmap(
    lambda columns: st.lists(st.lists(magnitudes, min_size=columns, max_size=columns), min_size=1, max_size=5)
)


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@given(matrices.map(torch.tensor))
def test_what_is_rounded_is_stored_and_read_bit_for_bit(matrix: Tensor) -> None:
    scales = scales_of(matrix)
    values = quantised(matrix, scales)
    rounded = restored(values, scales)
    assert bits(through_int8(matrix)) == bits(rounded)
    again = scales_of(rounded)
    assert bits(again) == bits(scales)
    assert bits(quantised(rounded, again)) == bits(values)
    assert are_as_written(values, scales)


@given(matrices.map(torch.tensor))
def test_a_value_changes_by_at_most_half_a_scale(matrix: Tensor) -> None:
    scales = scales_of(matrix).double()
    rows = matrix.double().abs().amax(dim=1)
    difference = (through_int8(matrix).double() - matrix.double()).abs().amax(dim=1)
    # In float32, values of a row next to half a scale may be rounded to either side.
    assert bool((difference <= scales * (0.5 + 1e-5))[scales > 0].all())
    assert bool((rows[scales == 0] < LARGEST * SMALLEST_NORMAL).all())


def test_every_scale_and_multiple_is_exact() -> None:
    """All 128 fractions that a bfloat16 scale can have, at the ends and in the middle of its range."""
    multiples = torch.arange(-LARGEST, LARGEST + 1, dtype=torch.int8).repeat(128, 1)
    for exponent in (-126, -125, -40, 0, 1, 60, 120):
        scales = (torch.arange(128, 256).double() * 2.0 ** (exponent - 7)).to(torch.bfloat16)
        matrix = restored(multiples, scales)
        assert torch.equal(matrix.double(), multiples.double() * scales.double().unsqueeze(1))
        assert are_as_written(multiples, scales)


@given(st.floats(128 * SMALLEST_NORMAL, LARGEST_FLOAT, width=32), st.sampled_from([1, -1]))
def test_the_largest_value_of_a_row_is_stored_as_127(value: float, sign: int) -> None:
    matrix = torch.tensor([[sign * value, 0.3 * value, 0.0]])
    assert quantised(matrix, scales_of(matrix))[0, 0] == sign * LARGEST


@pytest.mark.parametrize(
    ("row", "scale", "expected"),
    [
        ([0.0, -0.0, 0.0], 0.0, [0, 0, 0]),
        ([1e-45, -1e-39, 1.4e-36], 0.0, [0, 0, 0]),  # denormal numbers, and a scale that would be one
        ([127 * SMALLEST_NORMAL, -SMALLEST_NORMAL, 1e-45], SMALLEST_NORMAL, [127, -1, 0]),
        ([LARGEST_FLOAT, -LARGEST_FLOAT, 1.0], 129 * 2.0**114, [127, -127, 0]),
        ([-127.0, 63.5, 62.5], 1.0, [-127, 64, 62]),  # the largest is negative; half goes to the even number
        ([-0.01, -0.02, -0.03], 0.000236511, [-42, -85, -127]),
    ],
)
def test_rows_at_the_ends_of_the_range(row: list[float], scale: float, expected: list[int]) -> None:
    matrix = torch.tensor([row, [1.0, 2.0, -127.0]])
    scales = scales_of(matrix)
    values = quantised(matrix, scales)
    assert scales[0].item() == pytest.approx(scale, rel=1e-5)
    assert values[0].tolist() == expected
    assert bits(restored(values, scales)) == bits(through_int8(restored(values, scales)))
    assert not restored(values, scales)[0].signbit().logical_and(values[0] == 0).any()
    # No row changes how another one is rounded.
    assert values[1].tolist() == [1, 2, -127]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_stays_so(value: float) -> None:
    """It is reported by the check of values, after rounding and after reading."""
    matrix = torch.tensor([[1.0, value, 2.0], [1.0, 2.0, 3.0]])
    found = through_int8(matrix)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([-128, 0, 127], 1.0),
        ([126, 5, -5], 1.0),
        ([0, 0, 0], 1.0),
        ([127, 0, 0], 0.0),
        ([0, 0, 0], -0.0),
        ([127, 0, 0], -1.0),
        ([127, 0, 0], 2.0**-127),
        ([127, 0, 0], math.inf),
        ([127, 0, 0], math.nan),
        ([0, 0, 0], math.nan),
        ([0, 0, 0], math.inf),
    ],
)
def test_other_bytes_than_are_written_are_noticed(values: list[int], scale: float) -> None:
    assert are_as_written(torch.tensor([[127, 0, 3]], dtype=torch.int8), torch.ones(1, dtype=torch.bfloat16))
    rows = torch.tensor([[127, 0, 3], values], dtype=torch.int8)
    assert not are_as_written(rows, torch.tensor([1.0, scale], dtype=torch.bfloat16))


def test_short_rows_and_other_tensors_are_no_matrices() -> None:
    shapes = {(4, 3): True, (0, 3): True, (4, 2): False, (4, 0): False, (12,): False, (2, 3, 4): False}
    assert {shape: is_matrix(torch.zeros(shape)) for shape in shapes} == shapes
