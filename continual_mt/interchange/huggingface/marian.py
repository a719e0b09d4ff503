"""Importing Marian models of Hugging Face's transformers under our tensor names.

Only models with separate source and target embeddings are accepted; shared embeddings must be untied first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from continual_mt.errors import IncompatibleError
from continual_mt.model.architecture import Activation, Architecture
from continual_mt.model.embeddings import sinusoidal_positions

if TYPE_CHECKING:
    from transformers import MarianConfig, MarianMTModel

_ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "swish": "swish", "silu": "swish", "gelu": "gelu"}
_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_FEED_FORWARD = {"inner": "fc1", "outer": "fc2", "norm": "final_layer_norm"}


def from_hugging_face(model: MarianMTModel) -> tuple[Architecture, dict[str, Tensor]]:
    """Return the architecture and copies of all parameters, in float32 on the CPU, under our names.

    Raises IncompatibleError if our engine would not compute the model exactly; it lists all differences in the
    configuration.
    """
    architecture = _architecture(model)
    theirs = model.state_dict()
    names = hugging_face_names(architecture)
    tensors = {ours: theirs[name].detach().to("cpu", torch.float32, copy=True) for ours, name in names.items()}
    tensors["target.bias"] = tensors["target.bias"].reshape(-1)
    return architecture, tensors


def hugging_face_names(architecture: Architecture) -> dict[str, str]:
    """Map our name of each parameter to Hugging Face's."""
    names = {
        "source.embedding": "model.encoder.embed_tokens.weight",
        "target.embedding": "model.decoder.embed_tokens.weight",
        "target.bias": "final_logits_bias",
    }
    for i in range(architecture.encoder_layers):
        layer = f"model.encoder.layers.{i}"
        names |= _map_attention(f"encoder.{i}.attention", layer, "self_attn")
        names |= _map_linear(f"encoder.{i}.feed_forward", layer, _FEED_FORWARD)
    for i in range(architecture.decoder_layers):
        layer = f"model.decoder.layers.{i}"
        names |= _map_attention(f"decoder.{i}.attention", layer, "self_attn")
        names |= _map_attention(f"cross_attention.{i}", layer, "encoder_attn")
        names |= _map_linear(f"decoder.{i}.feed_forward", layer, _FEED_FORWARD)
    return names


def _map_attention(ours: str, layer: str, theirs: str) -> dict[str, str]:
    projections = _map_linear(ours, f"{layer}.{theirs}", _PROJECTIONS)
    return projections | _map_linear(ours, layer, {"norm": f"{theirs}_layer_norm"})


def _map_linear(ours: str, theirs: str, parts: dict[str, str]) -> dict[str, str]:
    return {
        f"{ours}.{part}.{kind}": f"{theirs}.{name}.{kind}"
        for part, name in parts.items()
        for kind in ("weight", "bias")
    }


def _architecture(model: MarianMTModel) -> Architecture:
    config = model.config
    problems = list(_problems(config))
    if problems:
        raise IncompatibleError(f"{config.model_type} model: cannot be imported: {'; '.join(problems)}")
    try:
        architecture = Architecture(
            family="marian",
            width=config.d_model,
            heads=config.encoder_attention_heads,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            feed_forward=config.encoder_ffn_dim,
            activation=_ACTIVATIONS[config.activation_function],
            scale_embedding=config.scale_embedding,
            maximum_positions=config.max_position_embeddings,
        )
    except ValueError as error:
        raise IncompatibleError(f"marian model: cannot be imported: {error}") from error
    _check_weights(model, architecture)
    return architecture


def _problems(config: MarianConfig) -> list[str]:
    if config.model_type != "marian":
        return ["expected model_type 'marian'"]
    problems = []
    if config.share_encoder_decoder_embeddings:
        problems.append("source and target share their embeddings; expected separate ones. Fix: untie them first")
    if config.activation_function not in _ACTIVATIONS:
        problems.append(f"its activation is {config.activation_function!r}; expected one of {', '.join(_ACTIVATIONS)}")
    if config.encoder_attention_heads != config.decoder_attention_heads:
        problems.append("its encoder and decoder have different numbers of attention heads")
    if config.encoder_ffn_dim != config.decoder_ffn_dim:
        problems.append("its encoder and decoder have feed-forward layers of different widths")
    return problems


def _check_weights(model: MarianMTModel, architecture: Architecture) -> None:
    """Check what the configuration does not state: tied output projection, sinusoidal positions, no other tensors."""
    theirs = model.state_dict()
    if not torch.equal(theirs["lm_head.weight"], theirs["model.decoder.embed_tokens.weight"]):
        raise IncompatibleError(
            "marian model: cannot be imported: its output projection differs from its target embedding"
        )
    expected = sinusoidal_positions(architecture, torch.device("cpu"))
    positions = [f"model.{part}.embed_positions.weight" for part in ("encoder", "decoder")]
    for name in positions:
        found = cast(Tensor, theirs[name]).detach().to("cpu", torch.float32)
        if not torch.allclose(found, expected, atol=1e-3):
            raise IncompatibleError(f"marian model: cannot be imported: {name} is not sinusoidal")
    read = {*hugging_face_names(architecture).values(), "lm_head.weight", *positions}
    if set(theirs) != read:
        raise IncompatibleError(
            f"marian model: cannot be imported: missing or unexpected tensors: {', '.join(sorted(set(theirs) ^ read))}"
        )
