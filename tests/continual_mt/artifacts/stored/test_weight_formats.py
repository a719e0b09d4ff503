from __future__ import annotations

import pytest
import torch
from torch import Tensor

from continual_mt.artifacts.stored import weight_formats
from continual_mt.artifacts.stored.int8_rows import quantised, scales_of, through_int8
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.artifacts.stored.weight_formats import DTYPES, dequantised, rounded, stored_tensors
from continual_mt.errors import CorruptionError, IncompatibleError

HALF: tuple[StoredPrecision, ...] = ("float16", "bfloat16")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of this test have several parts."""
    monkeypatch.setattr(weight_formats, "_PART", 7)


def values() -> Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def as_bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


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


def test_int8_rounds_matrices_by_row_and_others_to_bfloat16() -> None:
    given = {
        "a": values(),
        "b": values().T,
        "norm": torch.tensor([1.001, -0.0, 1e-30]),
        "short": values()[:, :2],
        "none": torch.zeros(0, 4),
        "zero": torch.tensor([[-0.0, 0.0, 0.0]]),
    }
    result = rounded(given, "int8")
    assert list(result) == list(given)
    for name in ("a", "b", "none", "zero"):
        assert as_bytes(result[name]) == as_bytes(through_int8(given[name]))
    for name in ("norm", "short"):
        assert as_bytes(result[name]) == as_bytes(given[name].bfloat16().float())
    assert not torch.equal(result["a"], given["a"])
    again = rounded(result, "int8")
    assert all(again[name].data_ptr() == tensor.data_ptr() for name, tensor in result.items())


def test_tensors_stay_one_in_memory_and_exact_ones_are_not_copied() -> None:
    """Tables of an imported parent may be one, or mapped from a file."""
    table, exact = values(), torch.tensor([0.5, -3.0])
    for precision in ("bfloat16", "int8"):
        result = rounded({"source": table, "target": table, "exact": exact}, precision)
        assert result["source"] is result["target"]
        assert result["source"] is not table
        assert result["exact"].data_ptr() == exact.data_ptr()
    again = rounded(result, precision)
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
        (
            "int8",
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


def test_int8_has_the_range_of_float32_in_matrices() -> None:
    most = torch.full((2, 3), torch.finfo(torch.float32).max)
    assert rounded({"encoder.a": most}, "int8")["encoder.a"].isfinite().all()


@pytest.mark.parametrize("precision", [*HALF, "float32"])
def test_stored_bytes_are_those_of_the_dtype(precision: StoredPrecision) -> None:
    tensor = values().T
    (stored,) = stored_tensors({"a": tensor}, precision).values()
    assert (stored.dtype, stored.shape, stored.bytes) == (DTYPES[precision], (4, 5), 20 * DTYPES[precision].itemsize)
    assert b"".join(stored.chunks()) == as_bytes(tensor.to(DTYPES[precision]))


def test_int8_stores_scales_beside_matrices() -> None:
    matrix, bias = values().T, torch.randn(9, generator=torch.Generator().manual_seed(2))
    stored = stored_tensors({"weight": matrix, "bias": bias}, "int8")
    assert {name: (one.dtype, one.shape, one.bytes) for name, one in stored.items()} == {
        "weight": (torch.int8, (4, 5), 20),
        "weight.scale": (torch.bfloat16, (4,), 8),
        "bias": (torch.bfloat16, (9,), 18),
    }
    contents = {name: b"".join(one.chunks()) for name, one in stored.items()}
    assert all(sum(map(len, one.chunks())) == one.bytes for one in stored.values())  # who writes them counts so
    scales = scales_of(matrix)
    expected = {"weight": quantised(matrix, scales), "weight.scale": scales, "bias": bias.bfloat16()}
    assert contents == {name: as_bytes(tensor) for name, tensor in expected.items()}


def int8_file() -> dict[str, Tensor]:
    """The tensors that a file in int8 has."""
    scales = scales_of(values())
    return {"weight": quantised(values(), scales), "weight.scale": scales, "bias": torch.ones(3, dtype=torch.bfloat16)}


def test_reading_int8_gives_float32() -> None:
    for asked in ("int8", None):
        found = dequantised(int8_file(), asked)
        assert list(found) == ["weight", "bias"]
        assert torch.equal(found["weight"], through_int8(values()))
        assert torch.equal(found["bias"], torch.ones(3))
    none = {"weight": torch.zeros(0, 4, dtype=torch.int8), "weight.scale": torch.zeros(0, dtype=torch.bfloat16)}
    assert dequantised(none, "int8")["weight"].shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": values()}, "weight: dtype is float32; expected int8"),
        ({"weight": values().bfloat16()}, "weight: dtype is bfloat16; expected int8"),
        ({"bias": torch.ones(3)}, "bias: dtype is float32; expected bfloat16"),
        ({"bias": torch.ones(3, dtype=torch.int8)}, "bias: dtype is int8; expected bfloat16"),
        ({"weight.scale": torch.ones(5)}, "weight.scale: dtype is float32; expected bfloat16"),
        (
            {"weight.scale": torch.ones(4).bfloat16()},
            "weight.scale: shape is (4,); expected one scale for each of the 5 rows",
        ),
        ({"weight.scale": None}, "weight.scale: missing; expected one scale for each of the 5 rows"),
    ],
)
def test_a_file_that_is_not_in_int8_is_refused(change: dict[str, Tensor | None], message: str) -> None:
    stored = {name: tensor for name, tensor in {**int8_file(), **change}.items() if tensor is not None}
    with pytest.raises(CorruptionError) as caught:
        dequantised(stored, "int8", values=False)
    assert str(caught.value) == message


def test_int8_values_that_would_be_written_as_others_are_refused() -> None:
    """Unless they were checked when they were stored: then the digest is known, and values are not read twice."""
    stored = int8_file()
    stored["weight.scale"][4] *= 2
    stored["weight"][4] //= 2
    with pytest.raises(CorruptionError) as caught:
        dequantised(stored, "int8")
    assert (
        str(caught.value)
        == "weight: would be written as other values; expected finite scales, and 127 or -127 in each row but zeros"
    )
    assert dequantised(stored, "int8", values=False)["weight"].shape == (5, 4)


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
        (torch.float64, None, "float32 or float16 or bfloat16 or int8"),
    ):
        name = str(dtype).removeprefix("torch.")
        with pytest.raises(CorruptionError, match=f"^a: dtype is {name}; expected {expected}$"):
            dequantised({"a": values().to(dtype)}, asked)  # type: ignore[arg-type]
