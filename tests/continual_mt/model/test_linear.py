from __future__ import annotations

import pytest
import torch

from continual_mt.model import linear as linear_module
from continual_mt.model.linear import FEW_ROWS, laid_out, linear
from continual_mt.model.torch_internals import HAS_PACKED_WEIGHTS, packed


@pytest.fixture
def laid(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of the weights that were laid out."""
    seen: list[torch.Size] = []
    laying = packed

    def note(weight: torch.Tensor) -> torch.Tensor:
        seen.append(weight.shape)
        return laying(weight)

    monkeypatch.setattr(linear_module, "packed", note)
    return seen


@torch.no_grad()
def test_a_product_is_the_same_however_weights_lie(laid: list[torch.Size]) -> None:
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(40, 24, generator=generator), torch.randn(40, generator=generator)
    for shape in ((1, 24), (FEW_ROWS, 24), (100, 24), (5, 7, 24)):
        rows = torch.randn(*shape, generator=generator)
        plain = linear(rows, weight, bias)
        with laid_out(FEW_ROWS):
            for _ in range(2):
                torch.testing.assert_close(linear(rows, weight, bias), plain)
    assert laid == [weight.shape] * (3 if HAS_PACKED_WEIGHTS else 0)


@torch.no_grad()
def test_nothing_is_laid_out_for_little(laid: list[torch.Size]) -> None:
    weight, bias = torch.ones(40, 24), torch.ones(40)
    linear(torch.ones(1000, 24), weight, bias)
    with laid_out(FEW_ROWS - 1):
        linear(torch.ones(1000, 24), weight, bias)
    with laid_out(FEW_ROWS):
        assert linear(torch.ones(1000, 24, dtype=torch.bfloat16), weight, bias).dtype == torch.bfloat16
        with laid_out(1):
            linear(torch.ones(1000, 24), weight, bias)
        linear(torch.ones(FEW_ROWS - 1, 24), weight, bias)
        assert laid == []
        linear(torch.ones(FEW_ROWS, 24), weight, bias)
    assert len(laid) == int(HAS_PACKED_WEIGHTS)


def test_gradients_flow_where_they_are_wanted(laid: list[torch.Size]) -> None:
    rows = torch.ones(FEW_ROWS, 24, requires_grad=True)
    with laid_out(FEW_ROWS):
        linear(rows, torch.ones(40, 24), torch.ones(40)).sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert laid == []
