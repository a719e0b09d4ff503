from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.artifacts.stored.int8_rows import quantised, scales_of
from continual_mt.artifacts.stored.serialization import (
    check_tensors,
    fingerprint,
    in_memory,
    json_piece,
    parameter_shapes,
    read_json,
    read_tensors,
    tensor_pieces,
)
from continual_mt.artifacts.stored.stored_precision import PRECISIONS
from continual_mt.artifacts.stored.weight_formats import rounded
from continual_mt.errors import CorruptionError
from continual_mt.model.architecture import GROUPS, Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors

ARCHITECTURE = Architecture(width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=12)
SIZES = {"source": 5, "target": 6}
NAMES = parameter_names(ARCHITECTURE)


def tensors(seed: int = 0) -> dict[str, Tensor]:
    return initial_tensors(ARCHITECTURE, NAMES, SIZES, seed)


def piece_bytes(members: Mapping[str, Tensor]) -> dict[str, bytes]:
    return in_memory(tensor_pieces(members))


architectures = st.builds(
    Architecture,
    width=st.sampled_from([4, 8, 12]),
    heads=st.sampled_from([1, 2]),
    encoder_layers=st.integers(1, 2),
    decoder_layers=st.integers(1, 2),
    feed_forward=st.integers(1, 9),
)


@given(architectures, st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_round_trip_is_bit_equal(architecture: Architecture, source: int, target: int, seed: int) -> None:
    before = initial_tensors(architecture, parameter_names(architecture), {"source": source, "target": target}, seed)
    pieces = piece_bytes(before)
    after = read_tensors(pieces, GROUPS)
    assert set(pieces) == {f"{group}.safetensors" for group in GROUPS}
    assert set(after) == set(before)
    for name, tensor in before.items():
        assert tensor.numpy().tobytes() == after[name].numpy().tobytes()
    assert piece_bytes(after) == pieces
    assert fingerprint(after, {}, {}) == fingerprint(before, {}, {})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_pieces_are_the_files_that_safetensors_writes(dtype: torch.dtype) -> None:
    given = {name: tensor.to(dtype) for name, tensor in tensors().items()} | {
        "target.none": torch.zeros(0, dtype=dtype)
    }
    for piece, content in piece_bytes(given).items():
        group = piece.removesuffix("safetensors")
        members = {name: tensor for name, tensor in reversed(given.items()) if name.startswith(group)}
        assert content == safetensors.torch.save(members)


def test_pieces_in_int8_are_the_files_that_safetensors_writes() -> None:
    given = tensors() | {"source.none": torch.zeros(0, 8)}
    for piece, content in in_memory(tensor_pieces(given, "int8")).items():
        group = piece.removesuffix("safetensors")
        members = {}
        for name, tensor in given.items():
            if name.startswith(group) and tensor.dim() == 2:
                scales = scales_of(tensor)
                members |= {f"{name}.scale": scales, name: quantised(tensor, scales)}
            elif name.startswith(group):
                members[name] = tensor.bfloat16()
        assert content == safetensors.torch.save(members)


@given(architectures, st.integers(0, 2**31))
def test_what_is_rounded_is_read_and_written_bit_for_bit(architecture: Architecture, seed: int) -> None:
    start = initial_tensors(architecture, parameter_names(architecture), {"source": 3, "target": 4}, seed)
    for precision in PRECISIONS:
        before = rounded(start, precision)
        pieces = in_memory(tensor_pieces(before, precision))
        after = read_tensors(pieces, GROUPS, precision)
        assert set(after) == set(before)
        for name, tensor in before.items():
            assert tensor.numpy().tobytes() == after[name].numpy().tobytes()
        assert in_memory(tensor_pieces(after, precision)) == pieces
        assert fingerprint(after, {}, {}, precision) == fingerprint(before, {}, {}, precision)
        assert fingerprint(start, {}, {}, precision) == fingerprint(before, {}, {}, precision)


def test_a_piece_is_written_again_from_the_same_tensors() -> None:
    write = tensor_pieces({"target.bias": torch.ones(6)})["target.safetensors"]
    assert not isinstance(write, bytes)
    assert b"".join(write()) == b"".join(write())


def test_tensors_of_an_open_file_are_mapped(tmp_path: Path) -> None:
    """They outlive the file and its name, and whoever writes to them changes nothing for others."""
    before = tensors()
    path = tmp_path / "target.safetensors"
    path.write_bytes(content := piece_bytes(before)["target.safetensors"])
    path.chmod(0o444)
    with path.open("rb") as file:
        first, second = (read_tensors({"target.safetensors": file}, ["target"]) for _ in range(2))
    assert str(path) in Path("/proc/self/maps").read_text()
    first["target.bias"][0] = 99
    assert path.read_bytes() == content
    path.unlink()
    assert all(torch.equal(second[name], before[name]) for name in second)
    assert len(second) == 2


@given(st.lists(st.floats(width=32), min_size=6, max_size=6))
def test_any_float_keeps_its_bits(values: list[float]) -> None:
    bias = torch.tensor(values)
    after = read_tensors(piece_bytes({"target.bias": bias}), ["target"])
    assert after["target.bias"].numpy().tobytes() == bias.numpy().tobytes()


def test_the_bytes_do_not_depend_on_the_order_or_layout() -> None:
    ordered = tensors()
    shuffled = {name: ordered[name] for name in reversed(ordered)}
    transposed = {name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in shuffled.items()}
    assert piece_bytes(ordered) == piece_bytes(shuffled) == piece_bytes(transposed)
    assert fingerprint(ordered, {}, {}) == fingerprint(transposed, {}, {})


def test_the_fingerprint_depends_on_every_bit() -> None:
    base = {"target.bias": torch.tensor([1.0, 2.0])}
    variants = [
        base,
        {"target.bias": torch.tensor([2.0, 1.0])},
        {"target.bias": torch.tensor([[1.0, 2.0]])},
        {"target.bias": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"source.bias": torch.tensor([1.0, 2.0])},
        {"target.bias": torch.tensor([1.0]), "target.bias2": torch.tensor([2.0])},
    ]
    zeros = [{"target.bias": torch.tensor([0.0])}, {"target.bias": torch.tensor([-0.0])}]
    found = [fingerprint(variant, {}, {}) for variant in variants + zeros] + [fingerprint(base, {}, {"a": 1})]
    assert len(set(found)) == len(found)
    assert all(len(value) == 64 for value in found)


def test_the_error_for_a_missing_piece() -> None:
    pieces = piece_bytes(tensors())
    del pieces["encoder.safetensors"]
    with pytest.raises(CorruptionError, match=r"missing piece encoder\.safetensors; found cross_attention"):
        read_tensors(pieces, GROUPS)
    with pytest.raises(CorruptionError, match=r"missing piece parent\.json; found none"):
        read_json({}, "parent.json")


def test_a_tensor_in_the_piece_of_another_group_is_rejected() -> None:
    pieces = piece_bytes(tensors())
    pieces["source.safetensors"] = pieces["target.safetensors"]
    with pytest.raises(CorruptionError, match=r"source\.safetensors: contains tensors of another group: target\.bias"):
        read_tensors(pieces, GROUPS)


def safetensors_file(header: object, data: bytes = bytes(24), length: int | None = None) -> bytes:
    """A safetensors file with an arbitrary header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str = "F32", shape: object = (6,), offsets: object = (0, 24)) -> dict[str, object]:
    return {"target.bias": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_a_valid_header_is_read() -> None:
    assert (
        read_tensors({"target.safetensors": safetensors_file(entry())}, ["target"])["target.bias"].tolist() == [0.0] * 6
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"not safetensors at all",
        safetensors_file(entry(), length=2**63),
        safetensors_file(entry(), length=10**9),
        safetensors_file(entry(), length=3),
        safetensors_file(entry(offsets=(0, 2**62))),
        safetensors_file(entry(offsets=(24, 0))),
        safetensors_file(entry(offsets=(-8, 16))),
        safetensors_file(entry(offsets=(4, 28))),
        safetensors_file(entry(shape=(7,))),
        safetensors_file(entry(shape=(2**62, 4))),
        safetensors_file(entry(shape=(-6,))),
        safetensors_file(entry(dtype="F64")),
        safetensors_file(entry(dtype="PICKLE")),
        safetensors_file(entry(), data=bytes(23)),
        safetensors_file(entry(), data=bytes(25)),
        safetensors_file({"target.bias": 3}),
        safetensors_file([1, 2, 3]),
        safetensors_file({"unknown.bias": entry()["target.bias"]}),
        safetensors_file({"": entry()["target.bias"]}),
    ],
)
def test_an_invalid_header_is_rejected(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match=r"target\.safetensors"):
        read_tensors({"target.safetensors": content}, ["target"])
    (path := tmp_path / "piece").write_bytes(content)
    with path.open("rb") as file, pytest.raises(CorruptionError, match=r"target\.safetensors"):
        read_tensors({"target.safetensors": file}, ["target"])


@given(st.data())
def test_damage_gives_a_corruption_error_or_valid_tensors(data: st.DataObject) -> None:
    whole = bytearray(
        piece_bytes({"target.bias": torch.ones(6), "target.embedding": torch.ones(6, 8)})["target.safetensors"]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(whole) - 3, len(whole)))
    try:
        found = read_tensors({"target.safetensors": bytes(whole[:cut])}, ["target"])
        check_tensors(found, ARCHITECTURE, ("target.embedding", "target.bias"), SIZES)
    except CorruptionError:
        return
    assert set(found) == {"target.embedding", "target.bias"}


@given(st.data())
def test_damage_in_int8_gives_a_corruption_error_or_what_is_written_again(data: st.DataObject) -> None:
    given = {"target.bias": torch.ones(6), "target.embedding": torch.randn(6, 8)}
    whole = bytearray(in_memory(tensor_pieces(given, "int8"))["target.safetensors"])
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_tensors({"target.safetensors": bytes(whole)}, ["target"], "int8")
        check_tensors(found, ARCHITECTURE, ("target.embedding", "target.bias"), SIZES)
    except CorruptionError:
        return
    again = read_tensors(in_memory(tensor_pieces(found, "int8")), ["target"], "int8")
    assert {name: tensor.numpy().tobytes() for name, tensor in again.items()} == {
        name: tensor.numpy().tobytes() for name, tensor in found.items()
    }


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64", "I32", "BOOL", "F8_E4M3", "F8_E5M2", "C64", "U16"])
def test_other_dtypes_are_rejected(dtype: str) -> None:
    """Nothing converts them, so a model would compute with them and translate differently."""
    width = {"F64": 8, "C64": 8, "I32": 4, "F16": 2, "BF16": 2, "U16": 2}.get(dtype, 1)
    header = {"target.bias": {"dtype": dtype, "shape": [6], "data_offsets": [0, 6 * width]}}

    def read() -> None:
        found = read_tensors({"target.safetensors": safetensors_file(header, bytes(6 * width))}, ["target"])
        check_tensors(found, ARCHITECTURE, ("target.bias",), SIZES)

    with pytest.raises(CorruptionError, match=r"target\.(bias|safetensors)"):
        read()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinite_values_are_rejected(value: float) -> None:
    damaged = tensors()
    damaged["decoder.0.feed_forward.inner.weight"][3, 2] = value
    with pytest.raises(CorruptionError, match=r"decoder\.0\.feed_forward\.inner\.weight: contains NaN or infinite"):
        check_tensors(damaged, ARCHITECTURE, NAMES, SIZES)
    check_tensors(damaged, ARCHITECTURE, NAMES, SIZES, values=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_shape_is_rejected(name: str) -> None:
    damaged = tensors()
    damaged[name] = torch.zeros(7, 7)
    with pytest.raises(CorruptionError, match=rf"{name}: shape is \(7, 7\); expected \("):
        check_tensors(damaged, ARCHITECTURE, NAMES, SIZES)


def test_the_error_lists_missing_and_unexpected_tensors() -> None:
    damaged = tensors()
    damaged["encoder.1.attention.query.bias"] = damaged.pop("encoder.0.attention.query.bias")
    with pytest.raises(CorruptionError) as raised:
        check_tensors(damaged, ARCHITECTURE, NAMES, SIZES)
    assert str(raised.value) == (
        "tensors do not match the architecture: missing ['encoder.0.attention.query.bias'], "
        "unexpected ['encoder.1.attention.query.bias']"
    )


def test_parameter_shapes() -> None:
    shapes = parameter_shapes(ARCHITECTURE, SIZES)
    assert shapes["source.embedding"] == (5, 8)
    assert shapes["target.embedding"] == (6, 8)
    assert shapes["target.bias"] == (6,)
    assert shapes["encoder.0.feed_forward.inner.weight"] == (12, 8)
    assert shapes["encoder.0.feed_forward.inner.bias"] == (12,)
    assert shapes["decoder.0.feed_forward.outer.weight"] == (8, 12)
    assert shapes["decoder.0.feed_forward.outer.bias"] == (8,)
    assert shapes["cross_attention.0.norm.weight"] == (8,)
    assert shapes["cross_attention.0.key.weight"] == (8, 8)


def test_json() -> None:
    piece = json_piece({"b": "ä", "a": [1, None]})
    assert read_json({"x": piece}, "x") == {"b": "ä", "a": [1, None]}
    assert piece == json_piece({"a": [1, None], "b": "ä"})
    for damaged in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(CorruptionError, match="x: not JSON"):
            read_json({"x": damaged}, "x")
    with pytest.raises(CorruptionError, match="x: not a JSON object"):
        read_json({"x": b"[]"}, "x")
