"""What a model is made of, and which of its parameters belong to which of the paper's five groups.

Tensor names are ours and stay as they are on disk, whatever the engine that computes with them becomes. A name's first
word is its group: ``source`` is θ_src, ``encoder`` θ_enc, ``decoder`` θ_dec, ``cross_attention`` θ_xattn (its layer
norm included) and ``target`` θ_tgt (Gheini, Ren and May, 2021, section 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from continual_mt.errors import CorruptionError
from continual_mt.languages import SideName

Group = Literal["source", "encoder", "decoder", "cross_attention", "target"]
GROUPS: tuple[Group, ...] = get_args(Group)

Scope = Literal["embeddings", "xattn", "xattn-random", "body", "scratch"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

Activation = Literal["relu", "swish", "gelu"]


@dataclass(frozen=True)
class Architecture:
    """Our own small configuration schema: all that decides a model's behaviour besides its tensors and tokenizers.

    Vocabulary sizes are not in it: they belong to the sides, which change while the body stays. Raises
    ValueError naming every field that is out of range.
    """

    # Read by pydantic, which checks this class as a part of specs.
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

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; it must be at least 1"
            for name in ("width", "heads", "encoder_layers", "decoder_layers", "feed_forward")
            if getattr(self, name) < 1
        ]
        if self.heads >= 1 and self.width % (2 * self.heads):
            problems.append(f"width ({self.width}) must be an even multiple of heads ({self.heads})")
        if self.maximum_positions < 8:
            problems.append(f"maximum_positions is {self.maximum_positions}; it must be at least 8")
        if problems:
            raise ValueError("; ".join(problems))

    def to_json(self) -> dict[str, str | int | bool]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Architecture:
        """Raises CorruptionError for fields or values that this version of the software does not know."""
        if values.get("family") != "marian" or set(values) != {field.name for field in fields(cls)}:
            raise CorruptionError(
                f"the architecture {dict(values)} is not one that this version of continual_mt knows; "
                "it may have been written by a newer one"
            )
        try:
            # Strict, through JSON: 256.0 or "256" for 256 would be another fingerprint.
            return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
        except (TypeError, ValueError) as error:
            raise CorruptionError(f"the architecture {dict(values)} is none: {error}") from error


def _linear(name: str) -> tuple[str, ...]:
    return (f"{name}.weight", f"{name}.bias")


def _attention(name: str) -> tuple[str, ...]:
    return tuple(
        parameter for part in ("query", "key", "value", "output", "norm") for parameter in _linear(f"{name}.{part}")
    )


def _feed_forward(name: str) -> tuple[str, ...]:
    return tuple(parameter for part in ("inner", "outer", "norm") for parameter in _linear(f"{name}.{part}"))


def group_names(architecture: Architecture, group: Group) -> tuple[str, ...]:
    """Every parameter of one group, by its full name, in a fixed order."""
    match group:
        case "source":
            return ("source.embedding",)
        case "target":
            return ("target.embedding", "target.bias")
        case "encoder":
            layers = range(architecture.encoder_layers)
        case "decoder":
            layers = range(architecture.decoder_layers)
        case "cross_attention":
            return tuple(
                name for i in range(architecture.decoder_layers) for name in _attention(f"cross_attention.{i}")
            )
    return tuple(
        name
        for i in layers
        for name in (*_attention(f"{group}.{i}.attention"), *_feed_forward(f"{group}.{i}.feed_forward"))
    )


def parameter_names(architecture: Architecture) -> tuple[str, ...]:
    """Every parameter of the model, group by group."""
    return tuple(name for group in GROUPS for name in group_names(architecture, group))


@cache
def trained_groups(scope: Scope, side: SideName) -> tuple[Group, ...]:
    """The groups that an addition with this scope trains, and therefore stores, for a new language on this side."""
    match scope:
        case "embeddings":
            chosen: set[Group] = {side}
        case "xattn" | "xattn-random":
            chosen = {side, "cross_attention"}
        case "body":
            chosen = {side, "encoder", "decoder", "cross_attention"}
        case "scratch":
            chosen = set(GROUPS)
    return tuple(group for group in GROUPS if group in chosen)


def trainable_names(architecture: Architecture, scope: Scope, side: SideName) -> tuple[str, ...]:
    """The parameters that an addition with this scope trains, by their full names.

    The new language's side and θ_xattn for ``xattn`` and ``xattn-random``, the body besides for ``body``, everything
    for ``scratch`` (the paper's section 3; ``embeddings`` is its ``{src,tgt}``).
    """
    return tuple(name for group in trained_groups(scope, side) for name in group_names(architecture, group))


def group_of(name: str) -> Group:
    """The group of a parameter, which is the first word of its name."""
    first = name.partition(".")[0]
    for group in GROUPS:
        if first == group:
            return group
    raise CorruptionError(f"{name!r} is not the name of a parameter: it starts with none of {', '.join(GROUPS)}")
