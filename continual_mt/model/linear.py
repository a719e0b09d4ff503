"""Products of rows with weights that stay as they are: on CPUs they pay for being laid out once as oneDNN wants them.

Laid out, weights take their memory a second time, so it is given back when the many products are done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.model.torch_internals import HAS_PACKED_WEIGHTS, packed, packed_linear

FEW_ROWS = 32
"""Fewer than these are multiplied sooner than weights are laid out for them, and sooner by weights that are not."""

_Laid = dict[int, tuple[Tensor, Tensor]]
_laid: ContextVar[_Laid | None] = ContextVar("laid", default=None)


@contextmanager
def laid_out(rows: int) -> Iterator[None]:
    """While this is open, weights are laid out when many rows first meet them, unless that is for few ``rows``."""
    token = _laid.set({} if HAS_PACKED_WEIGHTS and rows >= FEW_ROWS else None)
    try:
        yield
    finally:
        _laid.reset(token)


def linear(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(…, in) to (…, out) in the dtype of ``rows``: rows · weightᵀ + bias."""
    laid = _laid.get()
    if (
        laid is None
        or rows.numel() < FEW_ROWS * rows.shape[-1]
        or {rows.dtype, weight.dtype} != {torch.float32}
        or rows.device.type != "cpu"
        or torch.is_grad_enabled()
    ):
        return functional.linear(rows, weight.to(rows.dtype), bias.to(rows.dtype))
    if id(weight) not in laid:
        # The weight is kept with its copy, so that no other tensor can get its id meanwhile.
        laid[id(weight)] = weight, packed(weight)
    return packed_linear(rows, laid[id(weight)][1], bias)
