from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored.int8_rows import through_int8
from continual_mt.artifacts.stored.serialization import (
    in_memory,
    json_piece,
    parameter_shapes,
    read_json,
    tensor_pieces,
)
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors

# A SentencePiece model of 64 types, made by train_tokenizer from tests/data/tiny.txt.
TINY = Tokenizer((Path(__file__).parents[2] / "data" / "tiny.model").read_bytes())
ARCHITECTURE = Architecture(
    width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=12, activation="swish", maximum_positions=16
)
SIZES = {"source": TINY.size, "target": TINY.size}
NAMES = parameter_names(ARCHITECTURE)


def make_parent(tensors: dict[str, Tensor], pair: str = "es-en", architecture: Architecture = ARCHITECTURE) -> Parent:
    parsed = Pair.parse(pair)
    return Parent.of_pair(parsed, architecture, tensors, TINY, TINY)


def formula_tensors() -> dict[str, Tensor]:
    """Multiples of 1/64 from an integer formula: equal on every machine and in every version of PyTorch."""
    tensors = {}
    for number, (name, shape) in enumerate(parameter_shapes(ARCHITECTURE, SIZES).items()):
        count = int(torch.tensor(shape).prod())
        tensors[name] = (((torch.arange(count) * 37 + number * 11) % 127 - 63).float() / 64).view(shape)
    return tensors


def test_golden_fingerprint() -> None:
    """It must never change: every stored module contains the fingerprint of its parent."""
    assert TINY.digest == "a830852a628d2ea340f4d6ae37a65a2743fbf90e32483298910e1fb50332ff0d"
    assert (
        make_parent(formula_tensors()).fingerprint == "35bb39beb38ab68c548a4185717a5e21715c8f48141333a68dc6e605727a2d14"
    )


def test_the_fingerprint_depends_only_on_what_determines_the_output() -> None:
    parent = make_parent(formula_tensors())
    reordered = dict(reversed(formula_tensors().items()))
    assert make_parent(reordered, pair="pt-de").fingerprint == parent.fingerprint
    other = formula_tensors()
    other["target.bias"][5] = torch.nextafter(other["target.bias"][5], torch.tensor(9.0))
    assert make_parent(other).fingerprint != parent.fingerprint
    unscaled = Architecture(**{**ARCHITECTURE.to_json(), "scale_embedding": False})  # type: ignore[arg-type]
    assert make_parent(formula_tensors(), architecture=unscaled).fingerprint != parent.fingerprint


def test_the_fingerprint_depends_on_the_tokenizer_of_each_side(
    parent: Parent, django_tokenizers: dict[str, Tokenizer]
) -> None:
    assert django_tokenizers["es"].size != django_tokenizers["en"].size
    one = make_parent(formula_tensors())
    renamed = TINY.model.replace(b"\xe2\x96\x81wom", b"\xe2\x96\x81mow")
    assert renamed != TINY.model
    other = Tokenizer(renamed)
    changed = Parent.of_pair(one.pair, ARCHITECTURE, formula_tensors(), other, TINY)
    exchanged = Parent.of_pair(one.pair, ARCHITECTURE, formula_tensors(), TINY, other)
    assert len({one.fingerprint, changed.fingerprint, exchanged.fingerprint}) == 3


@given(st.integers(0, 2**31))
def test_round_trip_is_bit_equal(seed: int) -> None:
    before = make_parent(initial_tensors(ARCHITECTURE, NAMES, SIZES, seed))
    pieces = before.pieces()
    after = Parent.from_pieces(pieces)
    assert after.pieces() == pieces
    assert after.fingerprint == before.fingerprint
    assert (after.pair, after.architecture) == (before.pair, before.architecture)
    assert (after.source_tokenizer, after.target_tokenizer) == (before.source_tokenizer, before.target_tokenizer)
    assert (after.languages, after.form) == (before.languages, before.form)
    assert all(torch.equal(after.tensors[name], before.tensors[name]) for name in NAMES)


def test_pieces_sides_and_parameter_count(parent: Parent) -> None:
    assert sorted(parent.pieces()) == [
        "cross_attention.safetensors",
        "decoder.safetensors",
        "encoder.safetensors",
        "parent.json",
        "source.model",
        "source.safetensors",
        "target.model",
        "target.safetensors",
    ]
    assert parent.tokenizer("source") is parent.source_tokenizer
    assert parent.tokenizer("target") is parent.target_tokenizer
    assert parent.sides(parent.pair) == (
        LanguageSide("es", parent.source_tokenizer),
        LanguageSide("en", parent.target_tokenizer),
    )
    # Embeddings, bias, then of one layer each: encoder, decoder and cross-attention.
    attention, feed_forward = 4 * (16 * 16 + 16) + 32, 2 * 16 * 24 + 24 + 16 + 32
    assert parent.parameters() == 310 * 16 + 300 * 16 + 300 + 3 * attention + 2 * feed_forward


def test_tensors_that_do_not_fit_are_rejected() -> None:
    tensors = formula_tensors()
    tensors["source.embedding"] = torch.zeros(65, 8)
    with pytest.raises(CorruptionError, match=r"source\.embedding: shape is \(65, 8\); expected \(64, 8\)"):
        make_parent(tensors)
    del tensors["source.embedding"]
    with pytest.raises(CorruptionError, match=r"missing \['source\.embedding'\], unexpected \[\]"):
        make_parent(tensors)


@pytest.mark.parametrize("piece", sorted(make_parent(formula_tensors()).pieces()))
def test_a_missing_or_damaged_piece_is_rejected(piece: str) -> None:
    pieces = make_parent(formula_tensors()).pieces()
    with pytest.raises(CorruptionError, match="SentencePiece" if piece.endswith(".model") else piece):
        Parent.from_pieces({**pieces, piece: b"damaged"})
    del pieces[piece]
    with pytest.raises(CorruptionError, match=f"missing piece {piece}"):
        Parent.from_pieces(pieces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "parent.json: unknown format 3; expected 1 or 2"),
        ({"format": 2}, "parent.json: malformed languages"),
        ({"format": None}, "parent.json: unknown format None"),
        ({"architecture": None}, "parent.json: missing architecture"),
        ({"architecture": {}}, "unknown family or fields"),
        ({"pair": "es"}, "parent.json: 'es' is not a pair"),
        ({"pair": None}, "parent.json: 'None' is not a pair"),
        ({"pair": "es-es"}, "parent.json: .*never paired with itself"),
    ],
)
def test_an_invalid_description_is_rejected(change: dict[str, object], message: str) -> None:
    pieces = make_parent(formula_tensors()).pieces()
    description = read_json(pieces, "parent.json") | change
    with pytest.raises(CorruptionError, match=message):
        Parent.from_pieces({**pieces, "parent.json": json_piece(description)})


def test_exchanged_tokenizers_do_not_fit(parent: Parent) -> None:
    pieces = parent.pieces()
    pieces["source.model"], pieces["target.model"] = pieces["target.model"], pieces["source.model"]
    with pytest.raises(CorruptionError, match="shape is"):
        Parent.from_pieces(pieces)


def test_the_values_of_a_stored_parent_are_not_read_again() -> None:
    """They were checked, and the fingerprint computed, when it was stored; a parent made from it is checked."""
    pieces = make_parent(formula_tensors()).pieces()
    broken = make_parent(formula_tensors())
    broken.tensors["target.bias"][3] = torch.nan  # type: ignore[index]  # a parent never changes
    pieces["target.safetensors"] = broken.pieces()["target.safetensors"]
    stored = Parent.from_pieces(pieces, "f" * 64)
    assert stored.fingerprint == "f" * 64
    for again in (lambda: Parent.from_pieces(pieces), lambda: replace(stored)):
        with pytest.raises(CorruptionError, match=r"^target\.bias: contains NaN or infinite values"):
            again()
    whole = Parent.from_pieces(make_parent(formula_tensors()).pieces(), "f" * 64)
    assert replace(whole).fingerprint == make_parent(formula_tensors()).fingerprint
    wrong = formula_tensors() | {"target.bias": torch.zeros(65)}
    with pytest.raises(CorruptionError, match=r"target\.bias: shape is"):
        Parent.from_pieces({**pieces, **in_memory(tensor_pieces(wrong))}, "f" * 64)


def test_new_pieces_are_the_pieces() -> None:
    parent = make_parent(formula_tensors())
    assert in_memory(parent.new_pieces()) == parent.pieces()


OTHER_FINGERPRINTS: tuple[tuple[StoredPrecision, str], ...] = (
    ("float16", "f1be3cef9509012e6cc48ae5f7fcd07468dc6b8a06ab555758b8226b5f62ff95"),
    ("bfloat16", "a7ea36acc24088e73dca0017f1752c4f02ea9ec54c20df91be83c327b65c6b9b"),
    ("int8", "b624f28209ea7cdddd6f8acfe20798a26455396908a4aa03b8cd1e62127cbf17"),
)


@pytest.mark.parametrize(("precision", "expected"), OTHER_FINGERPRINTS)
def test_golden_fingerprints_of_other_precisions(precision: StoredPrecision, expected: str) -> None:
    """In half precision the values are those of the golden fingerprint above: what differs is how they are stored."""
    parent = make_parent(formula_tensors()).stored_in(precision)
    assert parent.fingerprint == expected
    assert Parent.from_pieces(parent.pieces()).fingerprint == expected
    if precision != "int8":
        assert parent.stored_in("float32").fingerprint == make_parent(formula_tensors()).fingerprint


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_rounded_as_it_is_stored(precision: StoredPrecision) -> None:
    full = make_parent(initial_tensors(ARCHITECTURE, NAMES, SIZES, seed=3))
    parent = full.stored_in(precision)
    pieces, whole = parent.pieces(), full.pieces()
    assert read_json(pieces, "parent.json") == {
        "format": 2,
        "architecture": ARCHITECTURE.to_json(),
        "sources": [["es", "es", None]],
        "targets": [["en", "en", None]],
        "denoising": False,
        "sentences": {**full.form.to_json()},
        "precision": precision,
    }
    after = Parent.from_pieces(pieces)
    assert (after.precision, after.pair, after.fingerprint) == (precision, full.pair, parent.fingerprint)
    for name, tensor in parent.tensors.items():
        assert tensor.dtype == after.tensors[name].dtype == torch.float32
        assert torch.equal(tensor, after.tensors[name])
        assert torch.equal(tensor, full.tensors[name].to(getattr(torch, precision)).float())
    assert not torch.equal(parent.tensors["source.embedding"], full.tensors["source.embedding"])
    weights = [name for name in pieces if name.endswith(".safetensors")]
    halves = sum(len(whole[name]) - len(pieces[name]) for name in weights)
    assert abs(halves - 2 * full.parameters()) < 200
    assert len({full.fingerprint, parent.fingerprint, parent.stored_in("float32").fingerprint}) == 3


def test_int8_is_rounded_as_it_is_stored() -> None:
    full = make_parent(initial_tensors(ARCHITECTURE, NAMES, SIZES, seed=3))
    parent = full.stored_in("int8")
    after = Parent.from_pieces(parent.pieces())
    assert (after.precision, after.pair, after.fingerprint) == ("int8", full.pair, parent.fingerprint)
    assert after.pieces() == parent.pieces()
    for name, tensor in parent.tensors.items():
        assert torch.equal(tensor, after.tensors[name])
        expected = through_int8(full.tensors[name]) if tensor.dim() == 2 else full.tensors[name].bfloat16().float()
        assert torch.equal(tensor, expected)


def test_weights_in_another_precision_than_described_are_rejected() -> None:
    full = make_parent(formula_tensors())
    half = full.stored_in("float16")
    for pieces, problem in (
        ({**half.pieces(), **in_memory(tensor_pieces(full.tensors))}, "dtype is float32; expected float16"),
        ({**half.pieces(), "parent.json": full.pieces()["parent.json"]}, "dtype is float16; expected float32"),
        ({**full.stored_in("int8").pieces(), "parent.json": half.pieces()["parent.json"]}, "expected float16"),
        ({**half.pieces(), "parent.json": full.stored_in("int8").pieces()["parent.json"]}, "expected int8"),
    ):
        with pytest.raises(CorruptionError, match=problem):
            Parent.from_pieces(pieces)
    description = read_json(half.pieces(), "parent.json") | {"precision": "float32"}
    with pytest.raises(CorruptionError, match="invalid precision 'float32'; expected float16 or bfloat16 or int8"):
        Parent.from_pieces({**half.pieces(), "parent.json": json_piece(description)})
