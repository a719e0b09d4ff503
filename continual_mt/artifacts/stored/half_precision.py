"""Weights in half precision: rounding them, the bytes that are stored, and reading those back.

Weights are rounded when a parent or module is made, so that what is scored is what is stored. Half-precision weights
are converted to float32 as they are read: only float32 weights can be mapped from their file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from continual_mt.artifacts.stored.stored_precision import PRECISIONS, StoredPrecision
from continual_mt.errors import CorruptionError, IncompatibleError

DTYPES: Mapping[StoredPrecision, torch.dtype] = {name: getattr(torch, name) for name in PRECISIONS}
# Tables of hundreds of millions of values are converted in parts, which need about a megabyte beside them.
_PART = 1 << 18


def rounded(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> Mapping[str, Tensor]:
    """Return float32 tensors with the values that ``precision`` can store.

    Tensors that have such values already are returned as they are, and tensors that are one in memory stay one. Raises
    IncompatibleError if a value is too large for ``precision``.
    """
    if precision == "float32":
        return tensors
    dtype = DTYPES[precision]
    _check_range(tensors, precision)
    found = {id(tensor): tensor for tensor in tensors.values()}
    results = {key: _rounded(tensor.detach(), dtype) for key, tensor in found.items()}
    return {name: results[id(tensor)] for name, tensor in tensors.items()}


def _check_range(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> None:
    largest = {name: _largest(tensor) for name, tensor in tensors.items()}
    name = max(largest, key=lambda name: largest[name], default=None)
    # NaN and infinite values are reported by the check of values.
    if name is None or not math.isfinite(largest[name]):
        return
    if torch.tensor(largest[name]).to(DTYPES[precision]).isinf():
        limit, other = torch.finfo(DTYPES[precision]).max, "bfloat16" if precision == "float16" else "float32"
        raise IncompatibleError(
            f"{name}: its largest absolute value is {largest[name]:,.6g}; expected at most {limit:,.6g}, the largest "
            f"of {precision}. Fix: choose the precision {other}"
        )


def _largest(tensor: Tensor) -> float:
    if tensor.numel() == 0:
        return 0.0
    least, most = torch.aminmax(tensor.detach())
    return max(-float(least), float(most))


def _rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    parts = torch.split(tensor.reshape(-1), _PART)
    if all(torch.equal(part.to(dtype).to(part.dtype), part) for part in parts):
        return tensor
    result = torch.empty(tensor.numel(), dtype=tensor.dtype)
    for part, out in zip(parts, torch.split(result, _PART), strict=True):
        out.copy_(part.to(dtype))
    return result.view(tensor.shape)


def stored_dtype(tensor: Tensor, precision: StoredPrecision) -> torch.dtype:
    """Return the dtype in which a tensor is stored: its own unless ``precision`` is a half one."""
    return tensor.dtype if precision == "float32" else DTYPES[precision]


def stored_bytes(tensor: Tensor, precision: StoredPrecision) -> Iterator[memoryview]:
    """Yield the bytes of a tensor as they are stored. They are not copied if nothing is converted."""
    flat, dtype = tensor.detach().cpu().contiguous().reshape(-1), stored_dtype(tensor, precision)
    for part in (flat,) if dtype == flat.dtype else torch.split(flat, _PART):
        # All platforms that PyTorch supports are little-endian; safetensors relies on that, too.
        yield part.to(dtype).view(torch.uint8).numpy().data


def dequantised(stored: Mapping[str, Tensor], precision: StoredPrecision | None) -> Mapping[str, Tensor]:
    """Return the float32 tensors of tensors as they were read from a file in ``precision``.

    With None each may have any precision. Float32 tensors are returned as they are, and stay mapped. Raises
    CorruptionError for a tensor that is not in ``precision``.
    """
    if precision == "float32":
        return stored  # another dtype is reported together with names and shapes
    allowed = list(DTYPES.values()) if precision is None else [DTYPES[precision]]
    for name, tensor in stored.items():
        if tensor.dtype not in allowed:
            expected = " or ".join(PRECISIONS) if precision is None else precision
            raise CorruptionError(f"{name}: dtype is {str(tensor.dtype).removeprefix('torch.')}; expected {expected}")
    return {name: tensor.to(torch.float32) for name, tensor in stored.items()}
