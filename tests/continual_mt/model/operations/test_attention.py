from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.model.operations.attention import attend

SENTENCES, HEADS, QUERIES, POSITIONS, WIDTH = 3, 2, 4, 5, 8


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)

    def random(length: int) -> Tensor:
        return torch.randn(SENTENCES, HEADS, length, WIDTH, generator=generator)

    return random(QUERIES), random(POSITIONS), random(POSITIONS)


def _masks() -> dict[str, Tensor | None]:
    generator = torch.Generator().manual_seed(4)
    causal = torch.full((QUERIES, POSITIONS), -torch.inf).triu(1)
    padding = torch.zeros(SENTENCES, 1, 1, POSITIONS)
    padding[1, ..., 3:] = -torch.inf
    per_query = torch.randn(SENTENCES, 1, QUERIES, POSITIONS, generator=generator)
    return {"none": None, "causal": causal, "padding": padding, "per query": per_query}


@pytest.mark.parametrize("name", _masks())
def test_output_and_gradients_equal_those_of_pytorch(inputs: tuple[Tensor, Tensor, Tensor], name: str) -> None:
    mask = _masks()[name]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    found = attend(*ours, mask)
    expected = functional.scaled_dot_product_attention(*theirs, attn_mask=mask)
    torch.testing.assert_close(found, expected)
    weights = torch.linspace(-1, 1, found.numel()).view(found.shape)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_non_contiguous_inputs(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    expected = attend(*inputs, None)
    non_contiguous = (tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in inputs)
    torch.testing.assert_close(attend(*non_contiguous, None), expected)


def test_bfloat16_inputs_give_bfloat16_outputs_and_gradients(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    halves = [tensor.bfloat16().requires_grad_() for tensor in inputs]
    found = attend(*halves, _masks()["padding"])
    found.sum().backward()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), attend(*inputs, _masks()["padding"]), atol=0.05, rtol=0.05)
    assert all(half.grad is not None and half.grad.dtype == torch.bfloat16 for half in halves)


def test_an_empty_batch(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    found = attend(*(tensor[:0] for tensor in inputs), torch.zeros(0, 1, 1, POSITIONS))
    assert found.shape == (0, HEADS, QUERIES, WIDTH)
