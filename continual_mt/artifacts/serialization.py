"""Tensors and tokenizers as named bytes, and the fingerprint over what decides behaviour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, LanguageError
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, Group, group_of, parameter_names


def tensor_pieces(tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    """One safetensors piece a group, so that what two modules share is stored once."""
    groups: dict[Group, dict[str, Tensor]] = {}
    for name in sorted(tensors):
        groups.setdefault(group_of(name), {})[name] = tensors[name].detach().cpu().contiguous()
    return {f"{group}.safetensors": save_safetensors(members) for group, members in groups.items()}


def read_tensors(pieces: Mapping[str, bytes], groups: Iterable[Group]) -> dict[str, Tensor]:
    """Inverse of ``tensor_pieces`` for these groups. Raises CorruptionError naming the piece at fault."""
    tensors: dict[str, Tensor] = {}
    for group in groups:
        name = f"{group}.safetensors"
        try:
            members = load_safetensors(require_piece(pieces, name))
        except (SafetensorError, ValueError, KeyError) as error:
            raise CorruptionError(f"{name} is not a safetensors file ({error})") from error
        strangers = sorted(member for member in members if not member.startswith(f"{group}."))
        if strangers:
            raise CorruptionError(f"{name} holds tensors of another group: {', '.join(strangers)}")
        tensors.update(members)
    return tensors


def require_piece(pieces: Mapping[str, bytes], name: str) -> bytes:
    if name not in pieces:
        raise CorruptionError(f"the piece {name} is missing; there are {', '.join(sorted(pieces)) or 'none'}")
    return pieces[name]


def json_piece(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, indent=1).encode()


def read_json(pieces: Mapping[str, bytes], name: str) -> dict[str, object]:
    try:
        values = json.loads(require_piece(pieces, name))
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{name} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CorruptionError(f"{name} is not a JSON object")
    return cast(dict[str, object], values)


def read_pair(description: Mapping[str, object], name: str) -> Pair:
    """The pair in the description that the piece ``name`` holds."""
    try:
        return Pair.parse(str(description.get("pair")))
    except LanguageError as error:
        raise CorruptionError(f"{name}: {error}") from error


def check_tensors(
    tensors: Mapping[str, Tensor], architecture: Architecture, names: Iterable[str], sizes: Mapping[str, int]
) -> None:
    """Raise CorruptionError unless ``tensors`` are exactly ``names``, finite float32 in the architecture's shapes.

    ``sizes`` are the vocabularies of ``source`` and ``target``; a size of a side that is not stored does not matter.
    """
    expected = set(names)
    if set(tensors) != expected:
        missing, surplus = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise CorruptionError(f"the tensors do not fit the architecture: missing {missing}, surplus {surplus}")
    shapes = parameter_shapes(architecture, sizes)
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CorruptionError(f"{name} has shape {tuple(tensor.shape)}, the architecture wants {shapes[name]}")
        if tensor.dtype != torch.float32:
            # Nothing converts it, and a model of mixed dtypes cannot compute.
            raise CorruptionError(f"{name} holds {str(tensor.dtype).removeprefix('torch.')}; weights are float32")
        if not torch.isfinite(tensor).all():
            raise CorruptionError(f"{name} holds values that are not finite numbers")


def parameter_shapes(architecture: Architecture, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, given the vocabularies of ``source`` and ``target``."""
    width, inner = architecture.width, architecture.feed_forward

    def shape(name: str) -> tuple[int, ...]:
        if name.endswith(".embedding"):
            return sizes[group_of(name)], width
        if name == "target.bias":
            return (sizes["target"],)
        part, kind = name.split(".")[-2:]
        rows, columns = {"inner": (inner, width), "outer": (width, inner)}.get(part, (width, width))
        return (rows, columns) if kind == "weight" and part != "norm" else (rows,)

    return {name: shape(name) for name in parameter_names(architecture)}


def fingerprint(
    tensors: Mapping[str, Tensor], tokenizers: Mapping[str, Tokenizer], description: Mapping[str, object]
) -> str:
    """SHA-256, in hexadecimal, over names, dtypes, shapes and little-endian bytes, tokenizers and a description."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for side in sorted(tokenizers):
        digest.update(f"\n{side} {tokenizers[side].digest}".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} ".encode())
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        # Little-endian is what every platform that PyTorch runs on has; safetensors rests on the same.
        digest.update(raw.tobytes())
    return digest.hexdigest()
