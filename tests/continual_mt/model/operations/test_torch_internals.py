"""What the project uses of PyTorch beyond its public interface is still there, and computes the same."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from continual_mt.model.operations.torch_internals import HAS_PACKED_WEIGHTS, packed, packed_linear, softmax_backward


def test_weights_can_be_packed_wherever_onednn_is() -> None:
    for name in ("_linear_pointwise", "_reorder_linear_weight"):
        assert hasattr(torch.ops.mkldnn, name) == torch.backends.mkldnn.is_available(), name
    assert torch.backends.mkldnn.is_available() == HAS_PACKED_WEIGHTS


@pytest.mark.skipif(not HAS_PACKED_WEIGHTS, reason="this PyTorch has no oneDNN")
def test_a_packed_weight_gives_the_same_product() -> None:
    generator = torch.Generator().manual_seed(1)
    rows, weight, bias = (torch.randn(shape, generator=generator) for shape in ((3, 50, 16), (24, 16), (24,)))
    with torch.inference_mode():
        found = packed_linear(rows, packed(weight), bias)
    torch.testing.assert_close(found, functional.linear(rows, weight, bias))


def test_the_gradient_of_a_softmax_is_autograds() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(4, 5, 6, generator=generator, requires_grad=True)
    gradient = torch.randn(4, 5, 6, generator=generator)
    shares = scores.softmax(-1)
    (expected,) = torch.autograd.grad(shares, scores, gradient, retain_graph=True)
    assert torch.equal(softmax_backward(gradient, shares.detach()), expected)
