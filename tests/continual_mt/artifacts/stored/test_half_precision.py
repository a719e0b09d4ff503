from __future__ import annotations

import pytest
import torch
from torch import Tensor

from continual_mt.artifacts.stored import half_precision
from continual_mt.artifacts.stored.half_precision import DTYPES, dequantised, rounded, stored_bytes
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.errors import CorruptionError, IncompatibleError

HALF: tuple[StoredPrecision, ...] = ("float16", "bfloat16")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of this test have several parts."""
    monkeypatch.setattr(half_precision, "_PART", 7)


def values() -> Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("precision", HALF)
def test_values_are_rounded_as_pytorch_rounds_them(precision: StoredPrecision) -> None:
    given = {"a": values(), "b": values().T, "none": torch.zeros(0, 4), "zero": torch.tensor([-0.0, 1e-30])}
    result = rounded(given, precision)
    assert list(result) == list(given)
    for name, tensor in given.items():
        expected = tensor.to(DTYPES[precision]).to(torch.float32)
        assert result[name].dtype == torch.float32
        assert result[name].numpy().tobytes() == expected.contiguous().numpy().tobytes()
    assert rounded(given, "float32") is given


def test_tensors_stay_one_in_memory_and_exact_ones_are_not_copied() -> None:
    """Tables of an imported parent may be one, or mapped from a file."""
    table, exact = values(), torch.tensor([0.5, -3.0])
    result = rounded({"source": table, "target": table, "exact": exact}, "bfloat16")
    assert result["source"] is result["target"]
    assert result["source"] is not table
    assert result["exact"].data_ptr() == exact.data_ptr()
    again = rounded(result, "bfloat16")
    assert all(again[name].data_ptr() == tensor.data_ptr() for name, tensor in result.items())


@pytest.mark.parametrize(
    ("precision", "value", "message"),
    [
        (
            "float16",
            -65520.0,
            "encoder.b: its largest absolute value is 65,520; expected at most 65,504, the largest of float16. "
            "Fix: choose the precision bfloat16",
        ),
        (
            "bfloat16",
            3.4e38,
            "encoder.b: its largest absolute value is 3.4e+38; expected at most 3.38953e+38, the largest of bfloat16. "
            "Fix: choose the precision float32",
        ),
    ],
)
def test_values_that_are_too_large_are_refused(precision: StoredPrecision, value: float, message: str) -> None:
    with pytest.raises(IncompatibleError) as caught:
        rounded({"encoder.a": values(), "encoder.b": torch.tensor([1.0, value])}, precision)
    assert str(caught.value) == message
    largest = torch.tensor([torch.finfo(DTYPES[precision]).max])
    assert torch.equal(rounded({"encoder.b": largest}, precision)["encoder.b"], largest)


@pytest.mark.parametrize("precision", [*HALF, "float32"])
def test_stored_bytes_are_those_of_the_dtype(precision: StoredPrecision) -> None:
    tensor = values().T
    expected = tensor.contiguous().to(DTYPES[precision]).view(torch.uint8).numpy().tobytes()
    assert b"".join(stored_bytes(tensor, precision)) == expected


@pytest.mark.parametrize("precision", HALF)
def test_reading_gives_float32(precision: StoredPrecision) -> None:
    stored = {"a": values().to(DTYPES[precision])}
    for asked in (precision, None):
        (tensor,) = dequantised(stored, asked).values()
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, stored["a"].float())
    mapped = {"a": values()}
    assert dequantised(mapped, None)["a"].data_ptr() == mapped["a"].data_ptr()
    assert dequantised(mapped, "float32") is mapped


def test_another_dtype_than_described_is_refused() -> None:
    for dtype, asked, expected in (
        (torch.float32, "float16", "float16"),
        (torch.bfloat16, "float16", "float16"),
        (torch.float64, None, "float32 or float16 or bfloat16"),
    ):
        name = str(dtype).removeprefix("torch.")
        with pytest.raises(CorruptionError, match=f"^a: dtype is {name}; expected {expected}$"):
            dequantised({"a": values().to(dtype)}, asked)  # type: ignore[arg-type]
