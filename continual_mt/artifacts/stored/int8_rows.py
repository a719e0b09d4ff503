"""Matrices in int8: a scale for each row, whose multiples from -127 to 127 are the values of the row.

A row of an embedding table is a type, and a row of a layer's matrix an output: values of one row have one magnitude,
and those of others do not change how finely it is rounded. The scale is a 127th of the row's largest absolute value, in
bfloat16. Its 8 significant bits times 7 are exact in float32: a matrix that is read has the same bits on every machine,
and is quantised to the same bytes again. Rounding the scale costs nothing: the largest value is 126.5 to 127.5 scales,
so it is stored as 127, and every value changes by at most half a scale.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST = 127
SCALE_DTYPE = torch.bfloat16
# Smaller scales would have fewer significant bits. A row with a smaller one, whose values are below 1.5e-36, is zero.
_SMALLEST_SCALE = torch.finfo(SCALE_DTYPE).tiny
_SHORTEST_ROW = 3


def is_matrix(tensor: Tensor) -> bool:
    """Return whether a tensor is stored in int8: matrices are, unless bfloat16 takes as few bytes, without a scale."""
    return tensor.dim() == 2 and tensor.shape[1] >= _SHORTEST_ROW


def scales_of(matrix: Tensor) -> Tensor:
    """Return the scales (rows,) of a float32 matrix (rows, columns); not finite for a row with NaN or infinity."""
    least, most = torch.aminmax(matrix, dim=1)
    scales = (torch.maximum(most, -least) / LARGEST).to(SCALE_DTYPE)
    return scales.masked_fill(scales < _SMALLEST_SCALE, 0.0)


def quantised(matrix: Tensor, scales: Tensor) -> Tensor:
    """Return a matrix (rows, columns) as int8 multiples of its rows' scales; zeros where a scale is not finite."""
    divisors = scales.to(torch.float32)
    divisors = divisors.masked_fill(divisors == 0, math.inf)
    return (matrix / divisors.unsqueeze(1)).round_().nan_to_num_(0.0).to(torch.int8)


def restored(values: Tensor, scales: Tensor) -> Tensor:
    """Return the float32 matrix of int8 values (rows, columns) and scales (rows,); NaN where a scale is not finite."""
    return values.to(torch.float32).mul_(scales.to(torch.float32).unsqueeze(1))


def through_int8(matrix: Tensor) -> Tensor:
    """Return a matrix with the values that int8 can store: the same bits if it has such values already."""
    scales = scales_of(matrix)
    return restored(quantised(matrix, scales), scales)


def are_as_written(values: Tensor, scales: Tensor) -> bool:
    """Return whether the matrix that these give is finite, and would be stored as the same bytes."""
    matrix = restored(values, scales)
    expected = scales_of(matrix)
    is_finite = bool(expected.isfinite().all())
    # As integers: zero and minus zero are equal numbers.
    same_scales = torch.equal(expected.view(torch.int16), scales.view(torch.int16))
    return is_finite and same_scales and torch.equal(quantised(matrix, expected), values)
