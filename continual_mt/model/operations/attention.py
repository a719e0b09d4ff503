"""Scaled dot-product attention (Vaswani et al., 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from continual_mt.model.operations.torch_internals import softmax_backward


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Compute softmax(query · keysᵀ / √width + mask) · values.

    Args:
        query: (sentences, heads, queries, width), where ``width`` is the width of one head.
        keys: (sentences, heads, positions, width).
        values: (sentences, heads, positions, width).
        mask: is added to the scores; broadcastable to (sentences, heads, queries, positions).

    Returns:
        (sentences, heads, queries, width), in the dtype of ``query``.
    """
    if query.is_cuda:
        return functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=None if mask is None else mask.to(query.dtype)
        )
    # On CPUs PyTorch's fused kernel is several times slower than separate products, above all in its backward pass.
    if not torch.is_grad_enabled():
        return _weighted_values(query, keys, values, mask)[0]
    result: Tensor = _AttentionFunction.apply(query, keys, values, mask)  # type: ignore[no-untyped-call]
    return result


def _weighted_values(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the result of ``attend`` and the attention weights (sentences · heads, queries, positions)."""
    sentences, heads, queries, width = query.shape
    scores = _scaled_bmm(query.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2), width**-0.5)
    if mask is not None:
        scores.view(sentences, heads, queries, keys.shape[2]).add_(mask)
    weights = scores.softmax(-1)
    return torch.bmm(weights, values.flatten(0, 1)).view(sentences, heads, queries, width), weights


class _AttentionFunction(torch.autograd.Function):
    """Attention with its own backward pass, which scales inside the products and keeps gradients contiguous."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        output, weights = _weighted_values(query, keys, values, mask)
        ctx.save_for_backward(query, keys, values, weights)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        *inputs, weights = ctx.saved_tensors
        q, k, v, output_gradient = (tensor.flatten(0, 1) for tensor in (*inputs, gradient))
        scale = q.shape[2] ** -0.5
        weights_gradient = torch.bmm(output_gradient, v.transpose(1, 2))
        scores_gradient = softmax_backward(weights_gradient, weights)
        gradients = (
            _scaled_bmm(scores_gradient, k, scale),
            _scaled_bmm(scores_gradient.transpose(1, 2), q, scale),
            torch.bmm(weights.transpose(1, 2), output_gradient),
        )
        query_gradient, key_gradient, value_gradient = (
            one.view(*gradient.shape[:2], *one.shape[1:]) for one in gradients
        )
        return query_gradient, key_gradient, value_gradient, None


def _scaled_bmm(left: Tensor, right: Tensor, scale: float) -> Tensor:
    # With beta=0, baddbmm never reads its first argument.
    return torch.baddbmm(left.new_empty(()).expand(1, 1, 1), left, right, beta=0, alpha=scale)
