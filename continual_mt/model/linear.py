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

MIN_ROWS = 32
"""Fewer than these are multiplied sooner than weights are laid out for them, and sooner by weights that are not."""

# torch lays weights out so for what it compiles, and has no public name for it.
CAN_PREPACK: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)

_Prepacked = dict[int, tuple[Tensor, Tensor]]
_prepacked: ContextVar[_Prepacked | None] = ContextVar("prepacked", default=None)


@contextmanager
def prepacked_weights(rows: int) -> Iterator[None]:
    """While this is open, weights are prepacked out when many rows first meet them, unless that is for few ``rows``."""
    token = _prepacked.set({} if CAN_PREPACK and rows >= MIN_ROWS else None)
    try:
        yield
    finally:
        _prepacked.reset(token)


def linear(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(…, in) to (…, out) in the dtype of ``rows``: rows · weightᵀ + bias."""
    prepacked = _prepacked.get()
    if (
        prepacked is None
        or rows.numel() < MIN_ROWS * rows.shape[-1]
        or {rows.dtype, weight.dtype} != {torch.float32}
        or rows.device.type != "cpu"
        or torch.is_grad_enabled()
    ):
        return functional.linear(rows, weight.to(rows.dtype), bias.to(rows.dtype))
    if id(weight) not in prepacked:
        # The weight is kept with its copy, so that no other tensor can get its id meanwhile.
        prepacked[id(weight)] = weight, _prepack(weight)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, prepacked[id(weight)][1], bias, "none", [], "")
    return product


def _prepack(weight: Tensor) -> Tensor:
    prepacked: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return prepacked
