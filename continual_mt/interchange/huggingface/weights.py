"""The weights of models of Hugging Face's transformers, under our names.

A table that is shared there by source and target embeddings is given to each of our sides: it is untied, and shares
memory until one side is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual_mt.interchange.huggingface.architectures import architecture_of, refused
from continual_mt.model.architecture import Architecture
from continual_mt.model.embeddings import sinusoidal_positions

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_FEED_FORWARD = {"inner": "fc1", "outer": "fc2", "norm": "final_layer_norm"}
_STACKS = {"source": "model.encoder", "target": "model.decoder"}
_SHARED, _HEAD, _BIAS = "model.shared.weight", "lm_head.weight", "final_logits_bias"

LEARNED_OFFSET = 2
"""The first rows of learned positions, which these models never use."""


def from_hugging_face(model: PreTrainedModel) -> tuple[Architecture, dict[str, Tensor]]:
    """As ``convert``, with copies of the weights of a model in memory."""
    return convert(model.config, {name: tensor.detach().clone() for name, tensor in model.state_dict().items()})


def convert(config: PreTrainedConfig, theirs: Mapping[str, Tensor]) -> tuple[Architecture, dict[str, Tensor]]:
    """Return the architecture and all parameters, in float32 on the CPU, under our names.

    Tensors that are so already are not copied, since they may be mapped from a large file. Raises IncompatibleError if
    our engine would not compute the model exactly, and if tensors are missing or unknown.
    """
    architecture = architecture_of(config)
    tables = _tables(config, theirs)
    positions = (f"{stack}.embed_positions.weight" for stack in _STACKS.values())
    for name in dict.fromkeys([*tables.values(), *positions]):
        if name in theirs and theirs[name].dim() != 2:
            shape = tuple(theirs[name].shape)
            raise refused(config, f"{name} has the shape {shape}; expected two dimensions")
    output, embedding = (theirs[tables[name]] for name in ("target.output", "target.embedding"))
    if output is not embedding and not torch.equal(output, embedding):
        architecture = replace(architecture, tied_output=False)
    names = {**hugging_face_names(architecture), **tables}
    if architecture.tied_output:
        del names["target.output"]
    _check_names(config, theirs, names, architecture)
    # By their names, so that a shared table is converted once.
    read = {name: theirs[name].to("cpu", torch.float32) for name in set(names.values()) if name in theirs}
    tensors = {ours: read[name] for ours, name in names.items() if name in read}
    if architecture.positions == "learned":
        for name in (f"{side}.positions" for side in _STACKS):
            tensors[name] = tensors[name][LEARNED_OFFSET:].clone()
    bias = tensors.get("target.bias", torch.zeros(len(tensors["target.embedding"])))
    return architecture, {**tensors, "target.bias": bias.reshape(-1)}


def hugging_face_names(architecture: Architecture) -> dict[str, str]:
    """Map our name of each parameter to Hugging Face's."""
    names = {f"{side}.embedding": f"{stack}.embed_tokens.weight" for side, stack in _STACKS.items()}
    names["target.bias"] = _BIAS
    if not architecture.tied_output:
        names["target.output"] = _HEAD
    if architecture.positions == "learned":
        names |= {f"{side}.positions": f"{stack}.embed_positions.weight" for side, stack in _STACKS.items()}
    for (side, stack), group in zip(_STACKS.items(), ("encoder", "decoder"), strict=True):
        if architecture.embedding_norm:
            names |= _map_linear(side, stack, {"norm": "layernorm_embedding"})
        if architecture.final_norm:
            names |= _map_linear(group, stack, {"norm": "layer_norm"})
    for i in range(architecture.encoder_layers):
        names |= _map_layer(f"encoder.{i}", f"model.encoder.layers.{i}")
    for i in range(architecture.decoder_layers):
        layer = f"model.decoder.layers.{i}"
        names |= _map_layer(f"decoder.{i}", layer) | _map_attention(f"cross_attention.{i}", layer, "encoder_attn")
    return names


def _map_layer(ours: str, layer: str) -> dict[str, str]:
    return _map_attention(f"{ours}.attention", layer, "self_attn") | _map_linear(
        f"{ours}.feed_forward", layer, _FEED_FORWARD
    )


def _map_attention(ours: str, layer: str, theirs: str) -> dict[str, str]:
    projections = _map_linear(ours, f"{layer}.{theirs}", _PROJECTIONS)
    return projections | _map_linear(ours, layer, {"norm": f"{theirs}_layer_norm"})


def _map_linear(ours: str, theirs: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {
        f"{ours}.{part}.{kind}": f"{theirs}.{name}.{kind}"
        for part, name in parts.items()
        for kind in ("weight", "bias")
    }


def _tables(config: PreTrainedConfig, theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """Map our three tables to the tensors that they are read from: files store a shared table under one name."""
    wanted = {
        "source.embedding": (f"{_STACKS['source']}.embed_tokens.weight", _SHARED),
        "target.embedding": (f"{_STACKS['target']}.embed_tokens.weight", _SHARED, _HEAD),
        "target.output": (_HEAD, f"{_STACKS['target']}.embed_tokens.weight", _SHARED),
    }
    found = {}
    for ours, candidates in wanted.items():
        present = [name for name in candidates if name in theirs]
        if not present:
            raise refused(config, f"it has no tensor {candidates[0]}; expected a model with a language model head")
        found[ours] = present[0]
    return found


def _check_names(
    config: PreTrainedConfig, theirs: Mapping[str, Tensor], names: Mapping[str, str], architecture: Architecture
) -> None:
    """Check that no tensor is missing or unknown, and that stored sinusoidal positions are those of the formula."""
    positions = {f"{stack}.embed_positions.weight" for stack in _STACKS.values()}
    # fairseq's sinusoidal positions had these names once, and were computed again when read.
    ignored = {_SHARED, _HEAD, *(f"{stack}.embed_positions.weights" for stack in _STACKS.values())}
    ignored |= {f"{stack}.embed_tokens.weight" for stack in _STACKS.values()}
    optional = {_BIAS}
    missing = set(names.values()) - optional - set(theirs)
    unknown = set(theirs) - set(names.values()) - ignored - optional
    if architecture.positions == "sinusoidal":
        for name in sorted(positions & unknown):
            _check_sinusoidal(config, name, theirs[name], architecture)
        unknown -= positions
    if wrong := sorted(missing | unknown):
        raise refused(config, f"missing or unexpected tensors: {', '.join(wrong)}")


def _check_sinusoidal(config: PreTrainedConfig, name: str, found: Tensor, architecture: Architecture) -> None:
    expected = sinusoidal_positions(architecture, torch.device("cpu"))
    if found.shape != expected.shape or not torch.allclose(found.detach().cpu().float(), expected, atol=1e-3):
        raise refused(config, f"{name} is not sinusoidal")
