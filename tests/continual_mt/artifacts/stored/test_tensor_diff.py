from __future__ import annotations

import torch

from continual_mt.artifacts.stored.tensor_diff import TensorDifference, tensor_differences


def test_equal_tensors_give_no_difference() -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.zeros(2)}
    assert tensor_differences(tensors, {name: tensor.clone() for name, tensor in tensors.items()}) == []


def test_share_and_largest_difference() -> None:
    first = {"body": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "same": torch.ones(2)}
    second = {"body": torch.tensor([[1.0, 2.5], [3.0, 4.0]]), "same": torch.ones(2)}
    assert tensor_differences(first, second) == [TensorDifference("body", (2, 2), (2, 2), share=0.25, largest=0.5)]


def test_the_sign_of_zero_is_a_difference() -> None:
    (found,) = tensor_differences({"a": torch.tensor([0.0, 1.0])}, {"a": torch.tensor([-0.0, 1.0])})
    assert (found.share, found.largest) == (0.5, 0.0)


def test_other_shapes_and_missing_tensors() -> None:
    found = tensor_differences({"a": torch.ones(2), "b": torch.ones(1)}, {"a": torch.ones(3)})
    assert [(one.name, one.first_shape, one.second_shape, one.largest) for one in found] == [
        ("a", (2,), (3,), None),
        ("b", (1,), None, None),
    ]
