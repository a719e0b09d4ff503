from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.model.operations.dropout import dropout, dropout_add


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9, 0.999])
def test_dropped_fraction_and_scale(rate: float) -> None:
    torch.manual_seed(0)
    kept = dropout(torch.ones(200_000), rate)
    dropped = min(255, round(rate * 256))
    assert sorted(set(kept.tolist())) == pytest.approx([0.0, 256 / (256 - dropped)])
    # Six standard deviations of the fraction of 200,000 values.
    assert float((kept == 0).float().mean()) == pytest.approx(dropped / 256, abs=6 * 0.5 / 200_000**0.5)


@pytest.mark.parametrize("rate", [0.0, 0.001])
def test_a_rate_that_rounds_to_zero_returns_the_values(rate: float) -> None:
    values = torch.randn(3, 4)
    assert dropout(values, rate) is values


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 2**31))
def test_equal_seeds_give_equal_masks_in_any_shape(shape: list[int], seed: int) -> None:
    values = torch.ones(shape)
    torch.manual_seed(seed)
    first = dropout(values, 0.5)
    torch.manual_seed(seed)
    assert torch.equal(dropout(values, 0.5), first)
    assert first.shape == values.shape
    assert first.dtype == values.dtype


def test_values_are_dropped_independently() -> None:
    """Eight values share a random word, but values at any distance must still be uncorrelated."""
    torch.manual_seed(1)
    gone = (dropout(torch.ones(400_000), 0.5) == 0).float() - 0.5
    for distance in range(1, 17):
        assert abs(float((gone[:-distance] * gone[distance:]).mean())) < 6 * 0.25 / 400_000**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_uses_the_same_mask(dtype: torch.dtype) -> None:
    values = torch.full((1000,), 2.0, dtype=dtype, requires_grad=True)
    result = dropout(values, 0.5)
    result.sum().backward()
    assert result.dtype == dtype
    assert values.grad is not None
    assert torch.equal(values.grad * 2, result)


def test_non_contiguous_values() -> None:
    values = torch.arange(1.0, 13).view(3, 4).transpose(0, 1)
    result = dropout(values, 0.5)
    assert torch.equal(result, torch.where(result == 0, 0.0, values * 2))


@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_add_equals_dropout_and_addition(rate: float, dtype: torch.dtype) -> None:
    states, values = (torch.randn(50, 8).to(dtype).requires_grad_() for _ in range(2))
    torch.manual_seed(5)
    expected = states.detach() + dropout(values.detach(), rate)
    torch.manual_seed(5)
    found = dropout_add(states, values, rate)
    # dropout_add rounds once; dropout and addition round twice.
    torch.testing.assert_close(found.detach(), expected, atol=2 * torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps)
    found.backward(torch.ones_like(found))
    assert states.grad is not None
    assert values.grad is not None
    assert torch.equal(states.grad, torch.ones_like(states))
    kept = values.grad != 0
    assert torch.equal(found[~kept], states[~kept])
    assert kept.all() == (rate == 0)
