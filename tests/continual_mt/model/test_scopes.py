from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.languages import SideName
from continual_mt.model.architecture import ATTENTION_PARTS, Architecture, parameter_names
from continual_mt.model.scopes import (
    PLAIN_SCOPES,
    ParsedScope,
    Scope,
    added_shapes,
    brings_encoder,
    canonical,
    check_side,
    fitted,
    is_canonical,
    parse,
    reads_encoder,
    trainable_names,
    trained_groups,
)
from tests.continual_mt.model.test_architecture import CROSS_ATTENTION, DECODER, ENCODER, ONE_LAYER, SOURCE, TARGET

SIX_LAYERS = Architecture(width=8, heads=2, encoder_layers=1, decoder_layers=6, feed_forward=16)


@pytest.mark.parametrize(
    ("scope", "side", "names"),
    [
        ("embeddings", "source", SOURCE),
        ("embeddings", "target", TARGET),
        ("xattn", "source", SOURCE + CROSS_ATTENTION),
        ("xattn", "target", CROSS_ATTENTION + TARGET),
        ("xattn-random", "source", SOURCE + CROSS_ATTENTION),
        ("xattn-random", "target", CROSS_ATTENTION + TARGET),
        ("half", "source", SOURCE + ENCODER),
        ("half", "target", DECODER + CROSS_ATTENTION + TARGET),
        ("body", "source", SOURCE + ENCODER + DECODER + CROSS_ATTENTION),
        ("body", "target", ENCODER + DECODER + CROSS_ATTENTION + TARGET),
        ("scratch", "source", SOURCE + ENCODER + DECODER + CROSS_ATTENTION + TARGET),
        ("scratch", "target", SOURCE + ENCODER + DECODER + CROSS_ATTENTION + TARGET),
        ("xattn:parts=query", "source", [*SOURCE, "cross_attention.0.query.weight", "cross_attention.0.query.bias"]),
        ("xattn:parts=output+norm", "target", [*CROSS_ATTENTION[-4:], *TARGET]),
    ],
)
def test_trainable_names_of_each_scope(scope: Scope, side: SideName, names: list[str]) -> None:
    assert list(trainable_names(ONE_LAYER, scope, side)) == names
    assert set(trained_groups(scope, side)) == {name.partition(".")[0] for name in names}


def test_old_scopes_keep_their_spelling() -> None:
    assert PLAIN_SCOPES == ("embeddings", "xattn", "xattn-random", "half", "body", "scratch")
    assert all(canonical(name) == name for name in PLAIN_SCOPES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xattn:layers=4-6,parts=query+key", "xattn:layers=4-6,parts=query+key"),
        ("xattn:parts=key+query,layers=6+5+4", "xattn:layers=4-6,parts=query+key"),
        (" xattn: parts = key , layers=2 ", "xattn:layers=2,parts=key"),
        ("xattn:query", "xattn:parts=query"),
        ("xattn:value+key+key", "xattn:parts=key+value"),
        ("xattn:layers=1+2+4+6-6+5", "xattn:layers=1-2+4-6"),
        ("xattn:layers=3-3", "xattn:layers=3"),
        ("xattn:query+key+value+output+norm", "xattn"),
        ("half", "half"),
        ("half-lora", "half-lora:rank=16"),
        ("half-lora:8", "half-lora:rank=8"),
        ("lora:rank=4", "lora:rank=4"),
        ("lora", "lora:rank=16"),
        ("adapter", "adapter:size=64"),
        ("adapter:128", "adapter:size=128"),
    ],
)
def test_canonical_spelling(text: str, expected: Scope) -> None:
    assert canonical(text) == expected
    assert canonical(expected) == expected
    assert is_canonical(text) == (text == expected)


@given(
    layers=st.sets(st.integers(1, 40), max_size=9),
    parts=st.sets(st.sampled_from(ATTENTION_PARTS), max_size=len(ATTENTION_PARTS) - 1),
)
def test_reading_what_is_written(layers: set[int], parts: set[str]) -> None:
    chosen = tuple(part for part in ATTENTION_PARTS if part in parts)
    scope = ParsedScope("xattn", layers=tuple(sorted(layers)), parts=chosen)
    assert parse(str(scope)) == scope


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown scope ''; expected one of embeddings, xattn, xattn-random, half"),
        ("xatn", r"unknown scope 'xatn' \(did you mean xattn\?\); expected one of embeddings"),
        ("Half", r"unknown scope 'Half' \(did you mean half\?\)"),
        ("half:layers=1", "half:layers=1: the scope half has no options. Fix: write half"),
        ("half:", "half:: the scope half has no options. Fix: write half"),
        ("xattn:", "xattn:: unknown part ''; expected some of query, key, value, output, norm, joined by +"),
        ("xattn:keys", r"xattn:keys: unknown part 'keys' \(did you mean key\?\); expected some of query, key"),
        ("xattn:layer=1", r"xattn:layer=1: unknown option 'layer' \(did you mean layers\?\); expected layers or parts"),
        ("xattn:layers=1,layers=2", "xattn:layers=1,layers=2: layers is given twice; expected it once"),
        ("xattn:query,parts=key", "parts is given twice; expected it once"),
        ("xattn:layers=", "layers is ''; expected numbers from 1 and ranges joined by"),
        ("xattn:layers=0", "layers is '0'; expected numbers from 1"),
        ("xattn:layers=0-3", "layers is '0-3'; expected numbers from 1"),
        ("xattn:layers=6-4", "layers is '6-4'; expected numbers from 1"),
        ("xattn:layers=a", "layers is 'a'; expected numbers from 1"),
        ("half-lora:rank=0", "half-lora:rank=0: rank is '0'; expected a whole number from 1"),
        ("lora:rank=4.5", "rank is '4.5'; expected a whole number from 1"),
        ("lora:ranks=4", r"lora:ranks=4: unknown option 'ranks' \(did you mean rank\?\); expected rank"),
        ("adapter:rank=4", r"adapter:rank=4: unknown option 'rank'; expected size"),
        ("adapter:size=-1", "size is '-1'; expected a whole number from 1"),
        ("xattn:" + "query+" * 50, "has 306 characters; expected at most 200"),
    ],
)
def test_wrong_spellings_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse(text)
    assert str(raised.value).count("\n") == 0
    assert not is_canonical(text)


def test_a_scope_is_fitted_to_an_architecture() -> None:
    assert fitted("xattn:layers=1-6", SIX_LAYERS) == "xattn"
    assert fitted("xattn:layers=1-6,parts=query", SIX_LAYERS) == "xattn:parts=query"
    assert fitted("xattn:layers=2-6", SIX_LAYERS) == "xattn:layers=2-6"
    message = "^xattn:layers=5-7: the parent has no decoder layer 7; expected layers from 1 to 6$"
    with pytest.raises(ValueError, match=message):
        fitted("xattn:layers=5-7", SIX_LAYERS)
    assert fitted("half-lora:rank=7", SIX_LAYERS) == "half-lora:rank=7"
    message = "^half-lora:rank=8: rank 8 is too large; expected less than 8, the smallest size of the parent's"
    with pytest.raises(ValueError, match=message):
        fitted("half-lora:rank=8", SIX_LAYERS)
    assert fitted("adapter:size=16", SIX_LAYERS) == "adapter:size=16"
    with pytest.raises(ValueError, match=r"^adapter:size=17: size 17 is too large; expected at most 16, the size"):
        fitted("adapter:size=17", SIX_LAYERS)


@pytest.mark.parametrize("side", ["source", "target"])
def test_layers_are_counted_from_one(side: SideName) -> None:
    names = trainable_names(SIX_LAYERS, "xattn:layers=1+5-6", side)
    chosen = [name for name in names if name.startswith("cross_attention.")]
    assert {name.split(".")[1] for name in chosen} == {"0", "4", "5"}
    assert len(chosen) == 3 * len(CROSS_ATTENTION)
    assert set(names) < set(parameter_names(SIX_LAYERS))


@pytest.mark.parametrize(
    ("scope", "side", "brings", "reads"),
    [
        ("embeddings", "source", False, False),
        ("xattn", "source", False, True),
        ("xattn:parts=query", "target", False, True),
        ("half", "source", True, False),
        ("half", "target", False, True),
        ("half-lora:rank=2", "source", True, False),
        ("half-lora:rank=2", "target", False, True),
        ("lora:rank=2", "source", True, True),
        ("lora:rank=2", "target", False, True),
        ("adapter:size=2", "source", True, True),
        ("adapter:size=2", "target", False, True),
        ("body", "source", False, True),
        ("body", "target", False, True),
    ],
)
def test_what_a_module_has_beside_its_side(scope: Scope, side: SideName, brings: bool, reads: bool) -> None:
    assert (brings_encoder(scope, side), reads_encoder(scope, side)) == (brings, reads)


def test_two_new_sides_and_none() -> None:
    assert trained_groups("xattn", "both") == ("source", "cross_attention", "target")
    assert trained_groups("embeddings", "both") == ("source", "target")
    assert trained_groups("xattn", "none") == trained_groups("lora:rank=2", "none") == ("cross_attention",)
    assert not brings_encoder("xattn", "both")
    added = added_shapes(ONE_LAYER, "lora:rank=2", "none")
    assert trainable_names(ONE_LAYER, "lora:rank=2", "none") == tuple(added)
    assert {name.partition(".")[0] for name in added} == {"cross_attention"}
    for scope in ("xattn", "xattn:parts=query", "embeddings", "xattn-random"):
        check_side(scope, "both")
    with pytest.raises(ValueError, match=r"^half: cannot be the scope of an addition with two new sides; expected"):
        check_side("half", "both")
    with pytest.raises(ValueError, match=r"between two sides that exist \(a bridge\); expected xattn or lora"):
        check_side("xattn-random", "none")


LAYER = ("query", "key", "value", "output")


@pytest.mark.parametrize(
    ("scope", "side", "layers"),
    [
        ("half-lora:rank=2", "source", ["encoder"]),
        ("half-lora:rank=2", "target", ["decoder", "cross_attention"]),
        ("lora:rank=2", "source", ["encoder", "decoder", "cross_attention"]),
        ("lora:rank=2", "target", ["encoder", "decoder", "cross_attention"]),
        ("half", "target", []),
    ],
)
def test_every_matrix_has_two_factors(scope: Scope, side: SideName, layers: list[str]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for group in layers:
        attention = f"{group}.0" if group == "cross_attention" else f"{group}.0.attention"
        sizes = {f"{attention}.{part}": (8, 8) for part in LAYER}
        if group != "cross_attention":
            sizes |= {f"{group}.0.feed_forward.inner": (16, 8), f"{group}.0.feed_forward.outer": (8, 16)}
        for name, (outputs, inputs) in sizes.items():
            expected |= {f"{name}.lora_a": (2, inputs), f"{name}.lora_b": (outputs, 2)}
    added = added_shapes(ONE_LAYER, scope, side)
    assert added == expected
    if added:
        sides = SOURCE if side == "source" else TARGET
        assert trainable_names(ONE_LAYER, scope, side) == (*sides, *expected)


@pytest.mark.parametrize("side", ["source", "target"])
def test_every_layer_has_an_adapter(side: SideName) -> None:
    added = added_shapes(SIX_LAYERS, "adapter:size=3", side)
    layers = ["encoder.0", *(f"decoder.{i}" for i in range(6))]
    shapes = {
        "norm.weight": (8,),
        "norm.bias": (8,),
        "down.weight": (3, 8),
        "down.bias": (3,),
        "up.weight": (8, 3),
        "up.bias": (8,),
    }
    assert added == {f"{layer}.adapter.{name}": shape for layer in layers for name, shape in shapes.items()}
    sides = SOURCE if side == "source" else TARGET
    assert trainable_names(SIX_LAYERS, "adapter:size=3", side) == (*sides, *added)
    assert set(trained_groups("adapter:size=3", side)) == {side, "encoder", "decoder"}
