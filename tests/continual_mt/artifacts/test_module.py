from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.int8_rows import through_int8
from continual_mt.artifacts.stored.serialization import json_piece, read_json
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.languages import Pair
from continual_mt.model.scopes import PLAIN_SCOPES, Scope, trainable_names

MakeModule = Callable[..., Module]


@pytest.mark.parametrize("pair", ["pt-en", "es-de"])
@pytest.mark.parametrize("scope", PLAIN_SCOPES)
def test_round_trip_is_bit_equal(make_module: MakeModule, parent: Parent, pair: str, scope: Scope) -> None:
    before = make_module(pair, scope)
    pieces = before.pieces()
    after = Module.from_pieces(pieces)
    after.check_fits(parent)
    assert after.pieces() == pieces
    assert after.digest == before.digest
    assert (after.pair, after.side, after.scope, after.new_side) == (
        before.pair,
        before.side,
        before.scope,
        before.new_side,
    )
    assert set(after.tensors) == set(trainable_names(parent.architecture, scope, before.side))
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    assert set(pieces) == {
        "module.json",
        f"{before.side}.model",
        *(f"{group}.safetensors" for group in before.groups),
    }


@given(seed=st.integers(0, 2**31))
def test_round_trip_of_any_values(make_module: MakeModule, seed: int) -> None:
    before = make_module("es-de", "xattn", seed)
    after = Module.from_pieces(before.pieces())
    assert after.pieces() == before.pieces()
    assert after.digest == before.digest


def test_parameter_counts(make_module: MakeModule, parent: Parent) -> None:
    module = make_module("pt-en", "xattn")
    assert module.parameters() == 330 * 16 + 4 * (16 * 16 + 16) + 32
    assert make_module("pt-en", "embeddings").parameters() == 330 * 16
    assert make_module("es-de", "embeddings").parameters() == 320 * 16 + 320


def test_the_digest_depends_on_content(make_module: MakeModule) -> None:
    same = make_module("pt-en", "xattn", 2)
    others = [make_module("pt-en", "xattn", 3), make_module("pt-en", "embeddings"), make_module("es-de", "xattn")]
    randomly = make_module("pt-en", "xattn-random", 2)
    assert make_module("pt-en", "xattn", 2).digest == same.digest
    assert len({same.digest, randomly.digest, *(module.digest for module in others)}) == 5


def test_another_parent_is_rejected(make_module: MakeModule, parent: Parent) -> None:
    tensors = {name: tensor.clone() for name, tensor in parent.tensors.items()}
    tensors["encoder.0.attention.query.weight"][0, 0] += 1e-6
    other = replace(parent, tensors=tensors)
    module = make_module("pt-en")
    module.check_fits(parent)
    message = (
        f"the module pt-en was trained on the parent {parent.fingerprint[:12]}, not on es-en "
        f"{other.fingerprint[:12]}. Fix: use the parent that it was trained on"
    )
    with pytest.raises(IncompatibleError, match=message):
        module.check_fits(other)


def test_parts_that_do_not_fit_are_rejected(
    make_module: MakeModule, parent: Parent, django_tokenizers: dict[str, Tokenizer]
) -> None:
    tensors = dict(make_module("pt-en").tensors)
    with pytest.raises(CorruptionError, match=r"source\.embedding: shape is \(330, 16\); expected \(320, 16\)"):
        Module.of(parent, Pair("pt", "en"), "xattn", tensors, django_tokenizers["de"])
    with pytest.raises(CorruptionError, match="tensors do not match the architecture: missing"):
        Module.of(parent, Pair("pt", "en"), "body", tensors, django_tokenizers["pt"])
    with pytest.raises(CorruptionError, match="unexpected"):
        Module.of(parent, Pair("pt", "en"), "embeddings", tensors, django_tokenizers["pt"])
    with pytest.raises(IncompatibleError, match="shares no side"):
        Module.of(parent, Pair("pt", "de"), "xattn", tensors, django_tokenizers["pt"])
    tensors["source.embedding"] = torch.full((330, 16), torch.nan)
    with pytest.raises(CorruptionError, match=r"source\.embedding: contains NaN or infinite values"):
        Module.of(parent, Pair("pt", "en"), "xattn", tensors, django_tokenizers["pt"])


@pytest.mark.parametrize("piece", ["module.json", "source.model", "source.safetensors", "cross_attention.safetensors"])
def test_a_missing_or_damaged_piece_is_rejected(make_module: MakeModule, piece: str) -> None:
    pieces = make_module("pt-en").pieces()
    with pytest.raises(CorruptionError, match="SentencePiece" if piece.endswith(".model") else piece):
        Module.from_pieces({**pieces, piece: b"damaged"})
    del pieces[piece]
    with pytest.raises(CorruptionError, match=f"missing piece {piece}"):
        Module.from_pieces(pieces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "module.json: unknown format 3; expected 1 or 2"),
        ({"format": 2}, "module.json: invalid precision None; expected float16 or bfloat16 or int8"),
        ({"format": 2, "precision": "float32"}, "module.json: invalid precision .float32."),
        ({"side": "middle"}, "module.json: unknown side or scope"),
        ({"scope": ["xattn"]}, "module.json: unknown side or scope"),
        ({"pair": "pt"}, "module.json: 'pt' is not a pair"),
        ({"parent": None}, "module.json: invalid parent; expected a fingerprint"),
        ({"parent": "abc"}, "module.json: invalid parent; expected a fingerprint"),
    ],
)
def test_an_invalid_description_is_rejected(make_module: MakeModule, change: dict[str, object], message: str) -> None:
    pieces = make_module("pt-en").pieces()
    description = read_json(pieces, "module.json") | change
    with pytest.raises(CorruptionError, match=message):
        Module.from_pieces({**pieces, "module.json": json_piece(description)})


def test_the_values_of_a_stored_module_are_not_read_again(make_module: MakeModule, parent: Parent) -> None:
    module = make_module("pt-en", "embeddings")
    broken = dict(module.tensors) | {"source.embedding": torch.full((330, 16), torch.nan)}
    pieces = replace(module, tensors=broken).pieces()
    stored = Module.from_pieces(pieces, "f" * 64)
    stored.check_fits(parent)
    assert stored.digest == "f" * 64
    for again in (Module.from_pieces(pieces), replace(stored)):
        with pytest.raises(CorruptionError, match=r"^source\.embedding: contains NaN or infinite values"):
            again.check_fits(parent)
        assert again.digest != stored.digest
    assert Module.from_pieces(module.pieces()).digest == module.digest


def test_half_precision_is_rounded_as_it_is_stored(make_module: MakeModule, parent: Parent) -> None:
    """A module in half precision fits the same parent, in float32 or not; it is another module."""
    full = make_module("pt-en", "half-lora:rank=2")
    assert read_json(full.pieces(), "module.json")["format"] == 1
    half = full.stored_in("bfloat16")
    pieces = half.pieces()
    described = read_json(full.pieces(), "module.json") | {"format": 2, "precision": "bfloat16"}
    assert read_json(pieces, "module.json") == described
    after = Module.from_pieces(pieces)
    after.check_fits(parent)
    assert (after.precision, after.digest, after.parent_fingerprint) == ("bfloat16", half.digest, parent.fingerprint)
    assert len({full.digest, half.digest, half.stored_in("float32").digest}) == 3
    for name, tensor in half.tensors.items():
        assert torch.equal(tensor, after.tensors[name])
        assert torch.equal(tensor, full.tensors[name].bfloat16().float())
    same = Module.of(parent, full.pair, full.scope, full.tensors, full.new_side.tokenizer, "bfloat16")
    assert same.pieces() == pieces
    assert full.stored_in("float32").digest == full.digest
    wrong = {**pieces, "source.safetensors": full.pieces()["source.safetensors"]}
    with pytest.raises(CorruptionError, match=r"^source\.embedding: dtype is float32; expected bfloat16"):
        Module.from_pieces(wrong)


@pytest.mark.parametrize("pair", ["pt-en", "es-de"])
def test_int8_is_rounded_as_it_is_stored(make_module: MakeModule, parent: Parent, pair: str) -> None:
    """As half precision: a module for the same parent, in float32 or not, and another module."""
    full = make_module(pair, "half")
    module = full.stored_in("int8")
    pieces = module.pieces()
    described = read_json(full.pieces(), "module.json") | {"format": 2, "precision": "int8"}
    assert read_json(pieces, "module.json") == described
    assert set(pieces) == set(full.pieces())
    after = Module.from_pieces(pieces)
    after.check_fits(parent)
    assert (after.precision, after.digest, after.parent_fingerprint) == ("int8", module.digest, parent.fingerprint)
    assert len({one.digest for one in (full, module, module.stored_in("float32"), module.stored_in("bfloat16"))}) == 4
    assert module.stored_in("float32").stored_in("int8").digest == module.digest
    for name, tensor in after.tensors.items():
        assert torch.equal(tensor, module.tensors[name])
        expected = through_int8(full.tensors[name]) if tensor.dim() == 2 else full.tensors[name].bfloat16().float()
        assert torch.equal(tensor, expected)
    same = Module.of(parent, full.pair, full.scope, full.tensors, full.new_side.tokenizer, "int8")
    assert same.pieces() == pieces
    matrices = sum(tensor.numel() for tensor in full.tensors.values() if tensor.dim() == 2)
    saved = sum(map(len, full.pieces().values())) - sum(map(len, pieces.values()))
    assert saved > 2.5 * matrices  # of this small module; the wider its matrices, the nearer to 3 bytes a value


def test_int8_that_is_not_as_written_is_refused_unless_it_was_checked(make_module: MakeModule, parent: Parent) -> None:
    pieces = make_module("pt-en", "embeddings").stored_in("int8").pieces()
    weights = load(pieces["source.safetensors"])
    weights["source.embedding"][7] = 3
    changed = {**pieces, "source.safetensors": save(weights)}
    with pytest.raises(CorruptionError, match=r"^source\.embedding: would be written as other values"):
        Module.from_pieces(changed)
    Module.from_pieces(changed, "f" * 64).check_fits(parent)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_int8_reports_values_that_are_not_finite(make_module: MakeModule, parent: Parent, value: float) -> None:
    module = make_module("pt-en", "xattn")
    for name, tensor in module.tensors.items():
        damaged = tensor.clone()
        damaged.view(-1)[3] = value
        with pytest.raises(CorruptionError, match=rf"^{name}: contains NaN or infinite values"):
            Module.of(
                parent, module.pair, "xattn", {**module.tensors, name: damaged}, module.new_side.tokenizer, "int8"
            )
