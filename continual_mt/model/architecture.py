"""The architecture of a model and the names of its parameters; `continual_mt.model.scopes` selects those that train.

Parameters form the paper's five groups (Gheini, Ren and May, 2021, section 2). The first component of a parameter's
name is its group: ``source`` (θ_src), ``encoder`` (θ_enc), ``decoder`` (θ_dec), ``cross_attention`` (θ_xattn, with its
layer norms) and ``target`` (θ_tgt). These names are part of the stored format: they must not change when the
implementation does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from continual_mt.errors import CorruptionError
from continual_mt.languages import SideName

Group = Literal["source", "encoder", "decoder", "cross_attention", "target"]
GROUPS: tuple[Group, ...] = get_args(Group)

AttentionPart = Literal["query", "key", "value", "output", "norm"]
ATTENTION_PARTS: tuple[AttentionPart, ...] = get_args(AttentionPart)

ADAPTER = ".adapter."
"""Part of the names of adapters' parameters, such as ``encoder.0.adapter.down.weight``."""

Activation = Literal["relu", "swish", "gelu"]
NormPlace = Literal["post", "pre"]
Positions = Literal["sinusoidal", "sinusoidal-fairseq", "learned"]


@dataclass(frozen=True)
class Architecture:
    """Hyper-parameters of the network: with the tensors and the tokenizers, they determine its output.

    Vocabulary sizes are not included: they belong to the sides, which can be exchanged while the body stays the same.

    Raises:
        ValueError: if fields are out of range; the message lists all of them.
    """

    # Specs contain this class, and pydantic reads this attribute when it validates them.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    family: Annotated[Literal["marian"], Field(description="kind of network")] = "marian"
    width: Annotated[int, Field(description="size of states and embeddings; an even multiple of heads")] = 256
    heads: Annotated[int, Field(description="heads of each attention")] = 4
    encoder_layers: Annotated[int, Field(description="layers of the encoder")] = 3
    decoder_layers: Annotated[int, Field(description="layers of the decoder")] = 3
    feed_forward: Annotated[int, Field(description="inner size of the feed-forward layers")] = 512
    activation: Annotated[Activation, Field(description="function between the feed-forward layers")] = "relu"
    scale_embedding: Annotated[bool, Field(description="multiply embeddings by the root of width")] = True
    maximum_positions: Annotated[int, Field(description="most tokens of a sentence, at least 8")] = 256
    # What follows came later: `to_json` leaves it out at these values, which must not change.
    norm: Annotated[
        NormPlace, Field(description="layer norms after each residual connection (post), or before each sublayer (pre)")
    ] = "post"
    final_norm: Annotated[bool, Field(description="a layer norm after the last layer of encoder and decoder")] = False
    positions: Annotated[
        Positions, Field(description="position embeddings: two sinusoidal formulas, or learned by each side")
    ] = "sinusoidal"
    position_offset: Annotated[int, Field(description="number of the first sinusoidal position")] = 0
    embedding_norm: Annotated[bool, Field(description="a layer norm of each side after its embeddings")] = False
    tied_output: Annotated[bool, Field(description="the output projection is the target embeddings")] = True

    def __post_init__(self) -> None:
        problems = [
            f"{name}: {getattr(self, name)} is too small; expected at least 1"
            for name in ("width", "heads", "encoder_layers", "decoder_layers", "feed_forward")
            if getattr(self, name) < 1
        ]
        if self.heads >= 1 and self.width % (2 * self.heads):
            problems.append(
                f"width: {self.width} does not fit {self.heads} heads; expected a multiple of {2 * self.heads}"
            )
        if self.maximum_positions < 8:
            problems.append(f"maximum_positions: {self.maximum_positions} is too small; expected at least 8")
        if self.position_offset < 0:
            problems.append(f"position_offset: {self.position_offset} is negative; expected at least 0")
        if self.positions == "learned" and self.position_offset:
            problems.append("position_offset: learned positions have none; expected 0")
        if self.positions == "sinusoidal-fairseq" and self.width < 4:
            problems.append(f"width: {self.width} is too small for positions sinusoidal-fairseq; expected at least 4")
        if problems:
            raise ValueError("; ".join(problems))

    def to_json(self) -> dict[str, str | int | bool]:
        """Return all fields, without those that came later at the value that earlier versions computed with."""
        return {name: value for name, value in asdict(self).items() if value != _LATER.get(name)}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Architecture:
        """Read what ``to_json`` returned. Raises CorruptionError for unknown or missing fields and invalid values."""
        known = [field.name for field in fields(cls)]
        if values.get("family") != "marian" or not set(known) - set(_LATER) <= set(values) <= set(known):
            raise CorruptionError(
                f"architecture {dict(values)}: unknown family or fields; expected family marian and fields "
                f"{', '.join(known)}. "
                "Fix: upgrade continual_mt if a newer version wrote it"
            )
        try:
            # Strict: 256.0 or "256" instead of 256 would give another fingerprint.
            return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
        except (TypeError, ValueError) as error:
            raise CorruptionError(f"invalid architecture {dict(values)}: {error}") from error


_LATER = {
    field.name: field.default
    for field in fields(Architecture)
    if field.name in ("norm", "final_norm", "positions", "position_offset", "embedding_norm", "tied_output")
}


def _linear(name: str) -> tuple[str, ...]:
    return (f"{name}.weight", f"{name}.bias")


def _attention(name: str) -> tuple[str, ...]:
    return tuple(parameter for part in ATTENTION_PARTS for parameter in _linear(f"{name}.{part}"))


def _feed_forward(name: str) -> tuple[str, ...]:
    return tuple(parameter for part in ("inner", "outer", "norm") for parameter in _linear(f"{name}.{part}"))


def group_names(architecture: Architecture, group: Group) -> tuple[str, ...]:
    """Return the full names of all parameters of one group, in a fixed order."""
    match group:
        case "source":
            return _side(architecture, "source")
        case "target":
            output = () if architecture.tied_output else ("target.output",)
            return (*_side(architecture, "target"), "target.bias", *output)
        case "encoder":
            layers = range(architecture.encoder_layers)
        case "decoder":
            layers = range(architecture.decoder_layers)
        case "cross_attention":
            return tuple(
                name for i in range(architecture.decoder_layers) for name in _attention(f"cross_attention.{i}")
            )
    of_layers = (
        name
        for i in layers
        for name in (*_attention(f"{group}.{i}.attention"), *_feed_forward(f"{group}.{i}.feed_forward"))
    )
    return (*of_layers, *(_linear(f"{group}.norm") if architecture.final_norm else ()))


def _side(architecture: Architecture, side: SideName) -> tuple[str, ...]:
    positions = (f"{side}.positions",) if architecture.positions == "learned" else ()
    return (f"{side}.embedding", *positions, *(_linear(f"{side}.norm") if architecture.embedding_norm else ()))


def matrix_shape(architecture: Architecture, name: str) -> tuple[int, int] | None:
    """Return the shape (out, in) of the matrix of a linear layer; None for other parameters of the body."""
    part, kind = name.split(".")[-2:]
    if kind != "weight" or part == "norm":
        return None
    width, inner = architecture.width, architecture.feed_forward
    return {"inner": (inner, width), "outer": (width, inner)}.get(part, (width, width))


def parameter_names(architecture: Architecture) -> tuple[str, ...]:
    """Return the full names of all parameters of the model, group by group."""
    return tuple(name for group in GROUPS for name in group_names(architecture, group))


def group_of(name: str) -> Group:
    """Return the group of a parameter. Raises CorruptionError for a name that starts with no group."""
    first = name.partition(".")[0]
    for group in GROUPS:
        if first == group:
            return group
    raise CorruptionError(
        f"parameter {name!r}: unknown group; expected a name that starts with one of {', '.join(GROUPS)}"
    )
