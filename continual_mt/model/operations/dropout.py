"""A fast dropout for CPUs that draws one random byte per value.

PyTorch's dropout draws a full random number per value, which takes most of its time on CPUs. Here NumPy's SFC64, five
times faster than PyTorch's generator, draws the bytes. PyTorch's generator seeds it at every call, so its state still
determines all randomness of a run. Rates are rounded to multiples of 1/256, for example 0.1 to 26/256, and the values
that are kept are scaled by the exact inverse of the rounded rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_INT64 = np.iinfo(np.int64)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Zero each value with probability ``rate`` and scale the others, in any shape.

    On CPUs the rate is rounded to a multiple of 1/256; if that is 0, ``values`` itself is returned. CUDA tensors go
    through PyTorch's dropout.
    """
    return _residual_dropout(None, values, rate)


def dropout_add(residual: Tensor, values: Tensor, rate: float) -> Tensor:
    """Return ``residual`` + ``dropout(values, rate)``, in a single pass on CPUs."""
    return _residual_dropout(residual, values, rate)


def _residual_dropout(residual: Tensor | None, values: Tensor, rate: float) -> Tensor:
    # At most 255 of 256, so that the scale stays finite.
    dropped = min(255, round(rate * 256))
    if dropped and not values.is_cuda:
        result: Tensor = _Dropout.apply(residual, values, dropped)  # type: ignore[no-untyped-call]
        return result
    kept = torch.dropout(values, rate, True) if dropped else values
    return kept if residual is None else residual + kept


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor | None, values: Tensor, dropped: int) -> Tensor:
        kept = _keep_mask(values, dropped)
        ctx.save_for_backward(kept)
        ctx.scale = 256 / (256 - dropped)
        return _apply_mask(residual, values, kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return gradient if ctx.needs_input_grad[0] else None, _apply_mask(None, gradient, kept, ctx.scale), None


def _keep_mask(values: Tensor, dropped: int) -> Tensor:
    """Draw a mask in the shape and dtype of ``values``: 1 with probability 1 - ``dropped`` / 256, else 0."""
    seed = int(torch.randint(_INT64.max, ()))
    generator = np.random.Generator(np.random.SFC64(seed))
    words = generator.integers(_INT64.min, _INT64.max, values.numel() // 8 + 1, np.int64, endpoint=True)
    # NumPy compares bytes much faster than torch.
    kept = words.view(np.int8)[: values.numel()] < 128 - dropped
    return torch.from_numpy(kept).view(values.shape).to(values.dtype)


def _apply_mask(residual: Tensor | None, values: Tensor, kept: Tensor, scale: float) -> Tensor:
    # addcmul takes the scale as a number: as a bfloat16 tensor it would be rounded.
    return torch.addcmul(values.new_zeros(()) if residual is None else residual, values, kept, value=scale)
