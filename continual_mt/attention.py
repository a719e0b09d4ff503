"""Scaled dot-product attention: who looks at what, and what it gets (Vaswani et al., 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


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
    result: Tensor = _Attend.apply(query, keys, values, mask)  # type: ignore[no-untyped-call]
    return result


class _Attend(torch.autograd.Function):
    """Written out so that scaling and masking are part of the products, and no gradient has to be laid out anew."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        sentences, heads, queries, width = query.shape
        positions = keys.shape[2]
        q, k, v = query.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
        ctx.scale = width**-0.5
        if mask is None:
            scores = _product(q, k.transpose(1, 2), ctx.scale)
        else:
            added = mask.to(q.dtype).expand(sentences, heads, queries, positions).flatten(0, 1)
            scores = torch.baddbmm(added, q, k.transpose(1, 2), alpha=ctx.scale)
        shares = scores.softmax(-1)
        ctx.save_for_backward(q, k, v, shares)
        return torch.bmm(shares, v).view(sentences, heads, queries, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, shares = ctx.saved_tensors
        of_mixed = gradient.flatten(0, 1)
        of_shares = torch.bmm(of_mixed, v.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_shares, shares, -1, shares.dtype)
        found = (
            _product(of_scores, k, ctx.scale),
            _product(of_scores.transpose(1, 2), q, ctx.scale),
            torch.bmm(shares.transpose(1, 2), of_mixed),
        )
        of_query, of_keys, of_values = (one.view(*gradient.shape[:2], *one.shape[1:]) for one in found)
        return of_query, of_keys, of_values, None


def _product(left: Tensor, right: Tensor, scale: float) -> Tensor:
    # With beta 0 what is added to is never read.
    return torch.baddbmm(left.new_empty(()).expand(1, 1, 1), left, right, beta=0, alpha=scale)
