"""Dropout with cheap randomness: one random byte decides each value.

On CPUs the stock dropout spends most of its time on a full random number a value. torch's own generator, five times
slower than NumPy's fastest, only seeds that one: its state is still the whole state of a run's randomness. A byte gives
rates in steps of 1/256: 0.1 becomes 26/256, and what is kept is scaled by the exact inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_INT64 = np.iinfo(np.int64)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Zero a share ``rate`` of ``values`` and scale the rest; the identity where the rate is 0."""
    return _residual_dropout(None, values, rate)


def dropout_add(states: Tensor, values: Tensor, rate: float) -> Tensor:
    """``states`` + ``dropout(values, rate)``, in one go."""
    return _residual_dropout(states, values, rate)


def _residual_dropout(states: Tensor | None, values: Tensor, rate: float) -> Tensor:
    # At least one byte in 256 is kept, so that there is something to scale.
    dropped = min(255, round(rate * 256))
    if dropped and not values.is_cuda:
        result: Tensor = _Dropout.apply(states, values, dropped)  # type: ignore[no-untyped-call]
        return result
    kept = torch.dropout(values, rate, True) if dropped else values
    return kept if states is None else states + kept


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor | None, values: Tensor, dropped: int) -> Tensor:
        kept = _keep_mask(values, dropped)
        ctx.save_for_backward(kept)
        ctx.scale = 256 / (256 - dropped)
        return _apply_mask(states, values, kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return gradient if ctx.needs_input_grad[0] else None, _apply_mask(None, gradient, kept, ctx.scale), None


def _keep_mask(values: Tensor, dropped: int) -> Tensor:
    """Of the shape and dtype of ``values``: 1 where a value is kept, else 0."""
    seed = int(torch.randint(_INT64.max, ()))
    generator = np.random.Generator(np.random.SFC64(seed))
    words = generator.integers(_INT64.min, _INT64.max, values.numel() // 8 + 1, np.int64, endpoint=True)
    # NumPy compares bytes much faster than torch.
    kept = words.view(np.int8)[: values.numel()] < 128 - dropped
    return torch.from_numpy(kept).view(values.shape).to(values.dtype)


def _apply_mask(states: Tensor | None, values: Tensor, kept: Tensor, scale: float) -> Tensor:
    # One pass: the scale is a full float32, which bfloat16 would round.
    return torch.addcmul(values.new_zeros(()) if states is None else states, values, kept, value=scale)
