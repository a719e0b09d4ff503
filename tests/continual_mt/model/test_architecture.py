from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.errors import CorruptionError
from continual_mt.model.architecture import GROUPS, Architecture, group_names, group_of, parameter_names

ONE_LAYER = Architecture(width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=16)

SOURCE = ["source.embedding"]
TARGET = ["target.embedding", "target.bias"]
ENCODER = [
    "encoder.0.attention.query.weight",
    "encoder.0.attention.query.bias",
    "encoder.0.attention.key.weight",
    "encoder.0.attention.key.bias",
    "encoder.0.attention.value.weight",
    "encoder.0.attention.value.bias",
    "encoder.0.attention.output.weight",
    "encoder.0.attention.output.bias",
    "encoder.0.attention.norm.weight",
    "encoder.0.attention.norm.bias",
    "encoder.0.feed_forward.inner.weight",
    "encoder.0.feed_forward.inner.bias",
    "encoder.0.feed_forward.outer.weight",
    "encoder.0.feed_forward.outer.bias",
    "encoder.0.feed_forward.norm.weight",
    "encoder.0.feed_forward.norm.bias",
]
DECODER = [
    "decoder.0.attention.query.weight",
    "decoder.0.attention.query.bias",
    "decoder.0.attention.key.weight",
    "decoder.0.attention.key.bias",
    "decoder.0.attention.value.weight",
    "decoder.0.attention.value.bias",
    "decoder.0.attention.output.weight",
    "decoder.0.attention.output.bias",
    "decoder.0.attention.norm.weight",
    "decoder.0.attention.norm.bias",
    "decoder.0.feed_forward.inner.weight",
    "decoder.0.feed_forward.inner.bias",
    "decoder.0.feed_forward.outer.weight",
    "decoder.0.feed_forward.outer.bias",
    "decoder.0.feed_forward.norm.weight",
    "decoder.0.feed_forward.norm.bias",
]
CROSS_ATTENTION = [
    "cross_attention.0.query.weight",
    "cross_attention.0.query.bias",
    "cross_attention.0.key.weight",
    "cross_attention.0.key.bias",
    "cross_attention.0.value.weight",
    "cross_attention.0.value.bias",
    "cross_attention.0.output.weight",
    "cross_attention.0.output.bias",
    "cross_attention.0.norm.weight",
    "cross_attention.0.norm.bias",
]


def test_groups() -> None:
    assert GROUPS == ("source", "encoder", "decoder", "cross_attention", "target")


def test_parameter_names_cover_the_five_groups() -> None:
    assert list(parameter_names(ONE_LAYER)) == SOURCE + ENCODER + DECODER + CROSS_ATTENTION + TARGET
    deep = Architecture(encoder_layers=2, decoder_layers=3)
    assert len(group_names(deep, "encoder")) == 2 * len(ENCODER)
    assert len(group_names(deep, "decoder")) == 3 * len(DECODER)
    assert len(group_names(deep, "cross_attention")) == 3 * len(CROSS_ATTENTION)
    assert len(set(parameter_names(deep))) == len(parameter_names(deep))
    assert all(group_of(name) == group for group in GROUPS for name in group_names(deep, group))


def test_parameters_of_what_came_later() -> None:
    """Norms and positions of embeddings belong to their side, the final norms to the body."""
    norms = ["norm.weight", "norm.bias"]
    richer = replace(ONE_LAYER, final_norm=True, positions="learned", embedding_norm=True, tied_output=False)
    assert {
        group: sorted(set(group_names(richer, group)) - set(group_names(ONE_LAYER, group))) for group in GROUPS
    } == {
        "source": sorted(["source.positions", *(f"source.{norm}" for norm in norms)]),
        "encoder": sorted(f"encoder.{norm}" for norm in norms),
        "decoder": sorted(f"decoder.{norm}" for norm in norms),
        "cross_attention": [],
        "target": sorted(["target.positions", "target.output", *(f"target.{norm}" for norm in norms)]),
    }


@pytest.mark.parametrize("name", ["", "body.0.weight", "sources.embedding", "embedding"])
def test_group_of_rejects_unknown_names(name: str) -> None:
    with pytest.raises(CorruptionError, match="unknown group; expected a name that starts with one of source, encoder"):
        group_of(name)


def test_the_error_lists_every_field_out_of_range() -> None:
    with pytest.raises(ValueError, match="heads: 0 is too small; expected at least 1") as raised:
        Architecture(heads=0, encoder_layers=-1, maximum_positions=7)
    assert "encoder_layers: -1 is too small" in str(raised.value)
    assert "maximum_positions: 7 is too small; expected at least 8" in str(raised.value)
    with pytest.raises(ValueError, match="width: 100 does not fit 4 heads; expected a multiple of 8"):
        Architecture(width=100, heads=4)
    with pytest.raises(ValueError, match="position_offset: -1 is negative; expected at least 0"):
        Architecture(position_offset=-1)
    with pytest.raises(ValueError, match="position_offset: learned positions have none; expected 0"):
        Architecture(positions="learned", position_offset=2)
    with pytest.raises(ValueError, match="width: 2 is too small for positions sinusoidal-fairseq; expected at least 4"):
        Architecture(positions="sinusoidal-fairseq", width=2, heads=1)


def test_json_round_trip() -> None:
    architecture = Architecture(width=64, activation="gelu", scale_embedding=False)
    assert Architecture.from_json(architecture.to_json()) == architecture


def test_what_came_later_is_in_json_only_where_it_differs() -> None:
    """Fingerprints and job digests of earlier versions stay as they are."""
    earlier = ["family", "width", "heads", "encoder_layers", "decoder_layers", "feed_forward", "activation"]
    assert list(Architecture().to_json()) == [*earlier, "scale_embedding", "maximum_positions"]
    later: dict[str, object] = {
        "norm": "pre",
        "final_norm": True,
        "positions": "sinusoidal-fairseq",
        "position_offset": 2,
        "embedding_norm": True,
        "tied_output": False,
    }
    for chosen in (later, *({name: value} for name, value in later.items())):
        values = {**Architecture().to_json(), **chosen}
        assert Architecture.from_json(values).to_json() == values


@pytest.mark.parametrize(
    "change",
    [
        {"norm": "before"},
        {"final_norm": 1},
        {"positions": "rotary"},
        {"position_offset": -1},
        {"family": "mbart"},
        {"width": "256"},
        {"width": 256.0},
        {"width": None},
        {"width": 255},
        {"heads": True},
        {"activation": "tanh"},
        {"scale_embedding": "no"},
        {"scale_embedding": 1},
        {"learned_positions": True},
    ],
)
def test_from_json_rejects_unknown_fields_and_values(change: dict[str, object]) -> None:
    with pytest.raises(CorruptionError, match=r"architecture \{"):
        Architecture.from_json({**Architecture().to_json(), **change})


def test_from_json_rejects_a_missing_field() -> None:
    values = Architecture().to_json()
    del values["scale_embedding"]
    with pytest.raises(
        CorruptionError,
        match=r"unknown family or fields; expected .*, scale_embedding, .* Fix: upgrade",
    ):
        Architecture.from_json(values)
