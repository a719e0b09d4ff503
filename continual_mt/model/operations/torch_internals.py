"""Everything that this project uses of PyTorch beyond PyTorch's public interface; nothing else may.

`tests/continual_mt/model/test_torch_internals.py` names what is missing when a new version of PyTorch no longer has it.
"""

from __future__ import annotations

import torch
from torch import Tensor

HAS_PACKED_WEIGHTS: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)
"""Whether `packed` and `packed_linear` exist, which PyTorch has for compiled models on CPUs."""


def packed(weight: Tensor) -> Tensor:
    """A float32 CPU weight (out, in) in the layout that oneDNN multiplies fastest; only `packed_linear` takes it."""
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return result


def packed_linear(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(…, in) to (…, out): rows · weightᵀ + bias, with a `packed` weight."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


def softmax_backward(gradient: Tensor, softmax: Tensor) -> Tensor:
    """The gradient before a softmax over the last dimension, in one pass; written out it takes three."""
    return torch._softmax_backward_data(gradient, softmax, -1, softmax.dtype)
