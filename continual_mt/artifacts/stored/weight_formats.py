"""Weights in the formats in which they are stored: rounding them, the tensors that a file has, and reading those back.

Weights are rounded when a parent or module is made, so that what is scored is what is stored. In half precision every
tensor has that dtype. In int8 a matrix NAME is stored with its scales, NAME.scale (see `int8_rows`), and all others are
in bfloat16: biases and norms are a hundredth of the weights, and bfloat16 changes them less than int8 changes matrices.
What is not float32 is converted to it as it is read: only float32 weights can be mapped from their file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from continual_mt.artifacts.stored import int8_rows
from continual_mt.artifacts.stored.stored_precision import PRECISIONS, StoredPrecision
from continual_mt.errors import CorruptionError, IncompatibleError

DTYPES: Mapping[StoredPrecision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int8": torch.bfloat16,
}
"""The dtype of a precision; of int8 that of tensors that are not matrices."""
SCALE = ".scale"
"""The end of the name under which the scales of a matrix in int8 are stored."""
# Tables of hundreds of millions of values are converted in parts, which need about a megabyte beside them.
_PART = 1 << 18


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file. ``chunks`` yields its bytes, which are not copied if nothing is converted."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    chunks: Callable[[], Iterator[memoryview]]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def rounded(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> Mapping[str, Tensor]:
    """Return float32 tensors with the values that ``precision`` can store.

    Tensors that have such values already are returned as they are, and tensors that are one in memory stay one. Raises
    IncompatibleError if a value is too large for ``precision``.
    """
    if precision == "float32":
        return tensors
    _check_range(tensors, precision)
    found = {id(tensor): tensor for tensor in tensors.values()}
    results = {key: _rounded(tensor.detach(), precision) for key, tensor in found.items()}
    return {name: results[id(tensor)] for name, tensor in tensors.items()}


def _check_range(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> None:
    # The scales of int8 reach as far as float32.
    largest = {name: _largest(tensor) for name, tensor in tensors.items() if not _is_int8(tensor, precision)}
    name = max(largest, key=lambda name: largest[name], default=None)
    # NaN and infinite values are reported by the check of values.
    if name is None or not math.isfinite(largest[name]):
        return
    dtype = DTYPES[precision]
    if torch.tensor(largest[name]).to(dtype).isinf():
        limit, other = torch.finfo(dtype).max, "bfloat16" if precision == "float16" else "float32"
        raise IncompatibleError(
            f"{name}: its largest absolute value is {largest[name]:,.6g}; expected at most {limit:,.6g}, the largest "
            f"of {_name(dtype)}. Fix: choose the precision {other}"
        )


def _largest(tensor: Tensor) -> float:
    if tensor.numel() == 0:
        return 0.0
    least, most = torch.aminmax(tensor.detach())
    return max(-float(least), float(most))


def _rounded(tensor: Tensor, precision: StoredPrecision) -> Tensor:
    in_int8 = _is_int8(tensor, precision)
    convert = int8_rows.through_int8 if in_int8 else partial(_through, dtype=DTYPES[precision])
    parts = _parts(tensor, by_row=in_int8)
    if all(_same_bits(convert(part), part) for part in parts):
        return tensor
    result = torch.empty(tensor.shape, dtype=tensor.dtype)
    for part, out in zip(parts, _parts(result, by_row=in_int8), strict=True):
        out.copy_(convert(part))
    return result


def _parts(tensor: Tensor, *, by_row: bool) -> tuple[Tensor, ...]:
    return torch.split(tensor, _rows_in_part(tensor)) if by_row else torch.split(tensor.reshape(-1), _PART)


def _rows_in_part(matrix: Tensor) -> int:
    return max(1, _PART // matrix.shape[1])


def _through(part: Tensor, dtype: torch.dtype) -> Tensor:
    return part.to(dtype).to(part.dtype)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # As integers: zero and minus zero are equal numbers.
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def _is_int8(tensor: Tensor, precision: StoredPrecision) -> bool:
    return precision == "int8" and int8_rows.is_matrix(tensor)


def stored_tensors(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name: those that are given, and in int8 the scales of matrices.

    In float32 a tensor keeps the dtype that it has.
    """
    result = {}
    for name, tensor in tensors.items():
        whole, shape = tensor.detach().cpu(), tuple(tensor.shape)
        if _is_int8(whole, precision):
            result[name] = StoredTensor(torch.int8, shape, partial(_int8_values, whole))
            result[name + SCALE] = StoredTensor(int8_rows.SCALE_DTYPE, shape[:1], partial(_int8_scales, whole))
        else:
            dtype = whole.dtype if precision == "float32" else DTYPES[precision]
            result[name] = StoredTensor(dtype, shape, partial(_values, whole, dtype))
    return result


def _values(tensor: Tensor, dtype: torch.dtype) -> Iterator[memoryview]:
    flat = tensor.contiguous().reshape(-1)
    for part in (flat,) if dtype == flat.dtype else _parts(flat, by_row=False):
        yield _bytes(part.to(dtype))


def _int8_values(matrix: Tensor) -> Iterator[memoryview]:
    for part in _parts(matrix, by_row=True):
        yield _bytes(int8_rows.quantised(part, int8_rows.scales_of(part)))


def _int8_scales(matrix: Tensor) -> Iterator[memoryview]:
    for part in _parts(matrix, by_row=True):
        yield _bytes(int8_rows.scales_of(part))


def _bytes(tensor: Tensor) -> memoryview:
    # Flat, so that its length is in bytes. All platforms that PyTorch supports are little-endian; safetensors relies on
    # that, too.
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def dequantised(
    stored: Mapping[str, Tensor], precision: StoredPrecision | None, *, values: bool = True
) -> Mapping[str, Tensor]:
    """Return the float32 tensors of tensors as they were read from a file in ``precision``: all weights come from here.

    With the ``precision`` None each may have any. Float32 tensors are returned as they are, and stay mapped. Raises
    CorruptionError for a tensor that is not in ``precision``, and, with ``values``, for one in int8 that would be
    written as other bytes: its fingerprint would be that of other values.
    """
    if precision == "float32":
        return stored  # another dtype is reported together with names and shapes
    if precision == "int8" or (precision is None and any(tensor.dtype == torch.int8 for tensor in stored.values())):
        return _from_int8(stored, values=values)
    allowed = set(DTYPES.values()) if precision is None else {DTYPES[precision]}
    for name, tensor in stored.items():
        if tensor.dtype not in allowed:
            expected = " or ".join(PRECISIONS) if precision is None else precision
            raise CorruptionError(f"{name}: dtype is {_name(tensor.dtype)}; expected {expected}")
    return {name: tensor.to(torch.float32) for name, tensor in stored.items()}


def _from_int8(stored: Mapping[str, Tensor], *, values: bool) -> dict[str, Tensor]:
    matrices = {name for name, tensor in stored.items() if int8_rows.is_matrix(tensor)}
    scales = {name + SCALE for name in matrices}
    result = {}
    for name, tensor in stored.items():
        expected = torch.int8 if name in matrices else DTYPES["int8"]
        if tensor.dtype != expected:
            raise CorruptionError(f"{name}: dtype is {_name(tensor.dtype)}; expected {_name(expected)}")
        if name in matrices:
            result[name] = _matrix(name, tensor, stored.get(name + SCALE), values=values)
        elif name not in scales:
            result[name] = tensor.to(torch.float32)
    return result


def _matrix(name: str, tensor: Tensor, scales: Tensor | None, *, values: bool) -> Tensor:
    if scales is None or scales.shape != tensor.shape[:1]:
        found = "missing" if scales is None else f"shape is {tuple(scales.shape)}"
        raise CorruptionError(f"{name}{SCALE}: {found}; expected one scale for each of the {len(tensor):,} rows")
    parts = _parts(tensor, by_row=True), torch.split(scales, _rows_in_part(tensor))
    if values and not all(map(int8_rows.are_as_written, *parts)):
        raise CorruptionError(
            f"{name}: would be written as other values; expected finite scales, and 127 or -127 in each row but zeros"
        )
    return int8_rows.restored(tensor, scales)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
