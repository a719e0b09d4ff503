from __future__ import annotations

import pytest
import torch

from continual_mt.model.operations import linear as linear_module
from continual_mt.model.operations.linear import MIN_ROWS, linear, prepacked_weights
from continual_mt.model.operations.torch_internals import HAS_PACKED_WEIGHTS, packed


@pytest.fixture
def packed_shapes(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of the weights that were packed, in order."""
    shapes: list[torch.Size] = []
    prepack = packed

    def record(weight: torch.Tensor) -> torch.Tensor:
        shapes.append(weight.shape)
        return prepack(weight)

    monkeypatch.setattr(linear_module, "packed", record)
    return shapes


def test_pytorch_has_the_operators_that_pack_weights() -> None:
    """They are not public. Without them everything works, but CPUs translate more slowly."""
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        for name in ("_linear_pointwise", "_reorder_linear_weight"):
            assert hasattr(torch.ops.mkldnn, name), name


@torch.no_grad()
def test_packed_weights_give_the_same_products(packed_shapes: list[torch.Size]) -> None:
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(40, 24, generator=generator), torch.randn(40, generator=generator)
    for shape in ((1, 24), (MIN_ROWS, 24), (100, 24), (5, 7, 24)):
        rows = torch.randn(*shape, generator=generator)
        plain = linear(rows, weight, bias)
        with prepacked_weights(MIN_ROWS):
            for _ in range(2):
                torch.testing.assert_close(linear(rows, weight, bias), plain)
    assert packed_shapes == [weight.shape] * (3 if HAS_PACKED_WEIGHTS else 0)


@torch.no_grad()
def test_few_rows_or_other_dtypes_are_not_packed(packed_shapes: list[torch.Size]) -> None:
    weight, bias = torch.ones(40, 24), torch.ones(40)
    linear(torch.ones(1000, 24), weight, bias)
    with prepacked_weights(MIN_ROWS - 1):
        linear(torch.ones(1000, 24), weight, bias)
    with prepacked_weights(MIN_ROWS):
        assert linear(torch.ones(1000, 24, dtype=torch.bfloat16), weight, bias).dtype == torch.bfloat16
        with prepacked_weights(1):
            linear(torch.ones(1000, 24), weight, bias)
        linear(torch.ones(MIN_ROWS - 1, 24), weight, bias)
        assert packed_shapes == []
        linear(torch.ones(MIN_ROWS, 24), weight, bias)
    assert len(packed_shapes) == int(HAS_PACKED_WEIGHTS)


def test_weights_are_not_packed_while_gradients_are_recorded(packed_shapes: list[torch.Size]) -> None:
    rows = torch.ones(MIN_ROWS, 24, requires_grad=True)
    with prepacked_weights(MIN_ROWS):
        linear(rows, torch.ones(40, 24), torch.ones(40)).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert packed_shapes == []
