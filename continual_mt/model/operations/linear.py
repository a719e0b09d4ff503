"""Linear layers with constant weights, which are prepacked for oneDNN on CPUs.

oneDNN multiplies faster when a weight has been copied to its blocked memory format once. The copy takes as much memory
as the weight, so copies are kept only inside ``prepacked_weights``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import functional

from continual_mt.model.operations.torch_internals import HAS_PACKED_WEIGHTS, packed, packed_linear

MIN_ROWS = 32
"""Below this many rows, packing costs more than it saves, and the product itself is faster with the plain weight."""

# The id of a weight to the weight and its packed copy. A reference to the weight keeps its id from being reused.
_Prepacked = dict[int, tuple[Tensor, Tensor]]
_prepacked: ContextVar[_Prepacked | None] = ContextVar("prepacked", default=None)


@contextmanager
def prepacked_weights(rows: int) -> Iterator[None]:
    """Pack each weight at its first use inside this context, and free the copies at the end.

    Nothing is packed if ``rows``, the number of rows per product to expect, is less than MIN_ROWS.
    """
    token = _prepacked.set({} if HAS_PACKED_WEIGHTS and rows >= MIN_ROWS else None)
    try:
        yield
    finally:
        _prepacked.reset(token)


def linear(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``rows`` · ``weight``ᵀ + ``bias`` in the dtype of ``rows``: (…, in) to (…, out).

    Inside ``prepacked_weights``, float32 products of at least MIN_ROWS rows on a CPU without gradients use the packed
    weight.
    """
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
        prepacked[id(weight)] = weight, packed(weight)
    return packed_linear(rows, prepacked[id(weight)][1], bias)
