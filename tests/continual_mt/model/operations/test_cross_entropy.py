from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.model.operations import cross_entropy
from continual_mt.model.operations.cross_entropy import linear_cross_entropy

ROWS, WIDTH, VOCABULARY = 37, 8, 30


@pytest.fixture
def tensors() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(ROWS, WIDTH, generator=generator)
    embedding = torch.randn(VOCABULARY, WIDTH, generator=generator)
    bias = torch.randn(VOCABULARY, generator=generator)
    return states, embedding, bias, torch.randint(VOCABULARY, (ROWS,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 16, 1000])
def test_loss_and_gradients_equal_those_of_pytorch(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, smoothing: float, chunk: int
) -> None:
    monkeypatch.setitem(cross_entropy.CHUNK_ROWS, "cpu", chunk)
    *inputs, labels = tensors
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    found = linear_cross_entropy(*ours, labels, smoothing)
    logits = functional.linear(*theirs)
    expected = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(found, expected)
    (found / 7).backward()
    (expected / 7).backward()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_padding_rows_are_ignored(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cross_entropy.CHUNK_ROWS, "cpu", 8)
    *inputs, labels = tensors
    label_count = 21
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    found = linear_cross_entropy(*ours, labels[:label_count], 0.1)
    expected = linear_cross_entropy(theirs[0][:label_count], *theirs[1:], labels[:label_count], 0.1)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    assert ours[0].grad is not None
    assert not ours[0].grad[label_count:].any()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_frozen_inputs_get_no_gradient(tensors: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    states, embedding, bias, labels = tensors
    states.requires_grad_()
    linear_cross_entropy(states, embedding, bias, labels, 0.1).backward()
    assert states.grad is not None
    assert embedding.grad is None
    assert bias.grad is None


def test_loss_without_gradients(tensors: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    states, embedding, bias, labels = tensors
    expected = functional.cross_entropy(functional.linear(states, embedding, bias), labels, reduction="sum")
    assert not linear_cross_entropy(states, embedding, bias, labels, 0.0).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(linear_cross_entropy(states, embedding, bias, labels, 0.0), expected)


def test_bfloat16_states_with_float32_weights(tensors: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    states, embedding, bias, labels = tensors
    half = states.bfloat16().requires_grad_()
    embedding.requires_grad_()
    found = linear_cross_entropy(half, embedding, bias, labels, 0.1)
    expected = functional.cross_entropy(
        functional.linear(states, embedding, bias), labels, reduction="sum", label_smoothing=0.1
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.1)
    found.backward()
    assert half.grad is not None
    assert embedding.grad is not None
    assert (half.grad.dtype, embedding.grad.dtype) == (torch.bfloat16, torch.float32)


def test_the_loss_of_a_certain_prediction_is_zero() -> None:
    states, embedding = torch.eye(4) * 100, torch.eye(4)
    assert float(linear_cross_entropy(states, embedding, torch.zeros(4), torch.arange(4), 0.0)) == pytest.approx(
        0, abs=1e-6
    )
