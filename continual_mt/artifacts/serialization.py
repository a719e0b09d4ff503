"""Convert tensors and descriptions to pieces, which are bytes by name, and back; compute fingerprints."""

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

from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, LanguageError
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, Group, group_of, matrix_shape, parameter_names


def tensor_pieces(tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    """Return one safetensors piece per group. Stores keep equal pieces once, so modules share unchanged groups."""
    groups: dict[Group, dict[str, Tensor]] = {}
    for name in sorted(tensors):
        groups.setdefault(group_of(name), {})[name] = tensors[name].detach().cpu().contiguous()
    return {f"{group}.safetensors": save_safetensors(members) for group, members in groups.items()}


def read_tensors(pieces: Mapping[str, bytes], groups: Iterable[Group]) -> dict[str, Tensor]:
    """Read the tensors of ``groups``: the inverse of ``tensor_pieces``. Raises CorruptionError."""
    tensors: dict[str, Tensor] = {}
    for group in groups:
        name = f"{group}.safetensors"
        try:
            members = load_safetensors(require_piece(pieces, name))
        except (SafetensorError, ValueError, KeyError) as error:
            raise CorruptionError(f"{name}: not a safetensors file ({error})") from error
        foreign = sorted(member for member in members if not member.startswith(f"{group}."))
        if foreign:
            raise CorruptionError(f"{name}: contains tensors of another group: {', '.join(foreign)}")
        tensors.update(members)
    return tensors


def require_piece(pieces: Mapping[str, bytes], name: str) -> bytes:
    """Return the piece ``name``. Raises CorruptionError if it is missing."""
    if name not in pieces:
        raise CorruptionError(f"missing piece {name}; found {', '.join(sorted(pieces)) or 'none'}")
    return pieces[name]


def json_piece(values: Mapping[str, object]) -> bytes:
    """Encode a JSON object; equal values give equal bytes."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, indent=1).encode()


def read_json(pieces: Mapping[str, bytes], name: str) -> dict[str, object]:
    """Read the JSON object in the piece ``name``. Raises CorruptionError if it is missing or something else."""
    try:
        values = json.loads(require_piece(pieces, name))
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{name}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise CorruptionError(f"{name}: not a JSON object")
    return cast(dict[str, object], values)


def read_pair(description: Mapping[str, object], name: str) -> Pair:
    """Read the pair of a description, which comes from the piece ``name``. Raises CorruptionError."""
    try:
        return Pair.parse(str(description.get("pair")))
    except LanguageError as error:
        raise CorruptionError(f"{name}: {error}") from error


def check_tensors(
    tensors: Mapping[str, Tensor],
    architecture: Architecture,
    names: Iterable[str],
    sizes: Mapping[str, int],
    added: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Check that the tensors have exactly these names, the architecture's shapes, dtype float32 and finite values.

    ``sizes`` has the vocabulary sizes of ``source`` and ``target``; it is only used for sides in ``names``. ``added``
    has the shapes of tensors that are not part of the architecture. Raises CorruptionError.
    """
    expected = set(names)
    if set(tensors) != expected:
        missing, surplus = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise CorruptionError(f"tensors do not match the architecture: missing {missing}, unexpected {surplus}")
    shapes = {**parameter_shapes(architecture, sizes), **(added or {})}
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CorruptionError(f"{name}: shape is {tuple(tensor.shape)}; expected {shapes[name]}")
        if tensor.dtype != torch.float32:
            # Nothing converts dtypes later, and a model of mixed dtypes cannot run.
            raise CorruptionError(f"{name}: dtype is {str(tensor.dtype).removeprefix('torch.')}; expected float32")
        if not torch.isfinite(tensor).all():
            raise CorruptionError(f"{name}: contains NaN or infinite values; expected finite numbers")


def parameter_shapes(architecture: Architecture, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by name; ``sizes`` has the vocabulary sizes of ``source`` and ``target``."""
    width = architecture.width

    def shape(name: str) -> tuple[int, ...]:
        if name.endswith(".embedding") or name == "target.output":
            return sizes[group_of(name)], width
        if name.endswith(".positions"):
            return architecture.maximum_positions, width
        if name == "target.bias":
            return (sizes["target"],)
        layer = name.rpartition(".")[0]
        return matrix_shape(architecture, name) or (architecture.feed_forward if layer.endswith(".inner") else width,)

    return {name: shape(name) for name in parameter_names(architecture)}


def tokenizer_piece(tokenizer: Tokenizer) -> bytes:
    """Return the stored form of a tokenizer. Raises IncompatibleError for side tokens, which it would lose."""
    if tokenizer.side_tokens != NO_SIDE_TOKENS:
        raise IncompatibleError("a tokenizer with side tokens cannot be stored in a module: they are its parent's")
    return tokenizer.model


def fingerprint(
    tensors: Mapping[str, Tensor], tokenizers: Mapping[str, Tokenizer], description: Mapping[str, object]
) -> str:
    """Return the SHA-256, in hexadecimal, of a description, tokenizers, and the tensors with their names and dtypes."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for side in sorted(tokenizers):
        digest.update(f"\n{side} {tokenizers[side].digest}".encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} ".encode())
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        # All platforms that PyTorch supports are little-endian; safetensors relies on that, too.
        digest.update(raw.tobytes())
    return digest.hexdigest()
