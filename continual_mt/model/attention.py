"""Scaled dot-product attention: who looks at what, and what it gets (Vaswani et al., 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from continual_mt.model.torch_internals import softmax_backward


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """(sentences, heads, queries, width): for each query the mean of ``values``, weighted by how it fits ``keys``.

    ``keys`` and ``values`` are (sentences, heads, positions, width); ``mask``, which is added to the scores, can be
    expanded to (sentences, heads, queries, positions).
    """
    if query.is_cuda:
        return functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=None if mask is None else mask.to(query.dtype)
        )
    # On CPUs the fused kernel is several times slower than these products, its backward most of all.
    if not torch.is_grad_enabled():
        return _mixed(query, keys, values, mask)[0]
    result: Tensor = _Attend.apply(query, keys, values, mask)  # type: ignore[no-untyped-call]
    return result


def _mixed(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """What ``attend`` gives, and the share (sentences · heads, queries, positions) that each position has in it."""
    sentences, heads, queries, width = query.shape
    scores = _product(query.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2), width**-0.5)
    if mask is not None:
        scores.view(sentences, heads, queries, keys.shape[2]).add_(mask)
    shares = scores.softmax(-1)
    return torch.bmm(shares, values.flatten(0, 1)).view(sentences, heads, queries, width), shares


class _Attend(torch.autograd.Function):
    """Written out so that scaling is a part of the products, and no gradient has to be laid out anew."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        mixed, shares = _mixed(query, keys, values, mask)
        ctx.save_for_backward(query, keys, values, shares)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        *inputs, shares = ctx.saved_tensors
        q, k, v, of_mixed = (tensor.flatten(0, 1) for tensor in (*inputs, gradient))
        scale = q.shape[2] ** -0.5
        of_shares = torch.bmm(of_mixed, v.transpose(1, 2))
        of_scores = softmax_backward(of_shares, shares)
        found = (
            _product(of_scores, k, scale),
            _product(of_scores.transpose(1, 2), q, scale),
            torch.bmm(shares.transpose(1, 2), of_mixed),
        )
        of_query, of_keys, of_values = (one.view(*gradient.shape[:2], *one.shape[1:]) for one in found)
        return of_query, of_keys, of_values, None


def _product(left: Tensor, right: Tensor, scale: float) -> Tensor:
    # With beta 0 what is added to is never read.
    return torch.baddbmm(left.new_empty(()).expand(1, 1, 1), left, right, beta=0, alpha=scale)
