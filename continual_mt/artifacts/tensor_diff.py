"""Where two sets of weights differ, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorDifference:
    """A tensor that is not the same bit for bit in both sets.

    ``share`` is the part of its values that differ, ``largest`` the largest absolute difference; both are None where
    the shapes differ, or where one set has no such tensor and hence no shape.
    """

    name: str
    first_shape: tuple[int, ...] | None
    second_shape: tuple[int, ...] | None
    share: float | None = None
    largest: float | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "first_shape": self.first_shape,
            "second_shape": self.second_shape,
            "share": self.share,
            "largest": self.largest,
        }


def tensor_differences(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[TensorDifference]:
    """The tensors that differ, by name. Those of one name and shape have the same dtype."""
    found = (_difference(name, first.get(name), second.get(name)) for name in sorted({*first, *second}))
    return [difference for difference in found if difference is not None]


def _difference(name: str, first: Tensor | None, second: Tensor | None) -> TensorDifference | None:
    shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (first, second)]
    if first is None or second is None or shapes[0] != shapes[1]:
        return TensorDifference(name, shapes[0], shapes[1])
    # By bytes, as digests are: -0.0 is another value than 0.0 there, with no difference between them.
    unequal = first.contiguous().view(torch.int32) != second.contiguous().view(torch.int32)
    if not unequal.any():
        return None
    largest = (first.double() - second.double()).abs().max()
    return TensorDifference(name, shapes[0], shapes[1], float(unequal.double().mean()), float(largest))
