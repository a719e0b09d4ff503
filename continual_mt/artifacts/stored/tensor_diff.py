"""Compare two sets of weights bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorDifference:
    """A tensor whose bits differ between the two sets.

    ``share`` is the fraction of its values that differ, and ``largest`` the largest absolute difference. Both are None
    if the shapes differ or one set lacks the tensor; its shape is then None.
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
    """Return the tensors that differ, sorted by name. All tensors must be float32."""
    found = (_difference(name, first.get(name), second.get(name)) for name in sorted({*first, *second}))
    return [difference for difference in found if difference is not None]


def _difference(name: str, first: Tensor | None, second: Tensor | None) -> TensorDifference | None:
    shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (first, second)]
    if first is None or second is None or shapes[0] != shapes[1]:
        return TensorDifference(name, shapes[0], shapes[1])
    # Compare bits, like digests do: -0.0 and 0.0 differ, although their absolute difference is 0.
    unequal = first.contiguous().view(torch.int32) != second.contiguous().view(torch.int32)
    if not unequal.any():
        return None
    largest = (first.double() - second.double()).abs().max()
    return TensorDifference(name, shapes[0], shapes[1], float(unequal.double().mean()), float(largest))
