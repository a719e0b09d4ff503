"""Convert tensors and descriptions to pieces and back; compute fingerprints.

Pieces are written as bytes, or as chunks of bytes, so that weights are not copied in memory. They are read as bytes, or
as open files, whose tensors are mapped into memory: nothing of them is read before it is used.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, TypeAlias, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from torch import Tensor

from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.artifacts.stored.weight_formats import dequantised, stored_tensors
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, LanguageError
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, group_of, matrix_shape, parameter_names

StoredPiece: TypeAlias = bytes | BinaryIO
"""A piece as it is read: in memory, or an open file."""
NewPiece: TypeAlias = bytes | Callable[[], Iterable[bytes | memoryview]]
"""A piece as it is written: in memory, or a function that returns its bytes in chunks, each time it is called."""

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int8: "I8"}


def tensor_pieces(
    tensors: Mapping[str, Tensor],
    precision: StoredPrecision = "float32",
    part_of: Callable[[str], str] = group_of,
) -> dict[str, NewPiece]:
    """Return one safetensors piece per part: by default a group, with `language_sides.part_of` also a language's side.

    Stores keep equal pieces once, so modules share unchanged groups.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name in sorted(tensors):
        parts.setdefault(part_of(name), {})[name] = tensors[name]
    return {f"{part}.safetensors": partial(_safetensors, members, precision) for part, members in parts.items()}


def _safetensors(tensors: Mapping[str, Tensor], precision: StoredPrecision) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a safetensors file, as ``safetensors.torch.save`` returns them, without copying tensors."""
    stored = stored_tensors(tensors, precision)
    names = sorted(stored, key=lambda name: (-stored[name].dtype.itemsize, name))
    entries, end = {}, 0
    for name in names:
        tensor, start = stored[name], end
        end = start + tensor.bytes
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    yield struct.pack("<Q", len(header)) + header
    for name in names:
        yield from stored[name].chunks()


def in_memory(pieces: Mapping[str, NewPiece]) -> dict[str, bytes]:
    """Return the bytes of all pieces."""
    return {name: piece if isinstance(piece, bytes) else b"".join(piece()) for name, piece in pieces.items()}


def read_tensors(
    pieces: Mapping[str, StoredPiece],
    parts: Iterable[str],
    precision: StoredPrecision | None = "float32",
    *,
    values: bool = True,
) -> dict[str, Tensor]:
    """Read the tensors of ``parts``: the inverse of ``tensor_pieces``. Raises CorruptionError.

    With the ``precision`` None each may have any. ``values=False`` is for what was checked when it was stored (see
    `dequantised`). Float32 tensors of an open file are mapped: they are read as they are used, and stay valid after the
    file was closed, removed or replaced. Writing to them changes neither the file nor what others have mapped.
    """
    tensors: dict[str, Tensor] = {}
    for part in parts:
        name = f"{part}.safetensors"
        piece = _require(pieces, name)
        try:
            members = load_safetensors(piece) if isinstance(piece, bytes) else _mapped(piece)
        except (SafetensorError, ValueError, KeyError) as error:
            raise CorruptionError(f"{name}: not a safetensors file ({error})") from error
        foreign = sorted(member for member in members if not member.startswith(f"{part}."))
        if foreign:
            raise CorruptionError(f"{name}: contains tensors of another group: {', '.join(foreign)}")
        tensors.update(dequantised(members, precision, values=values))
    return tensors


def _mapped(file: BinaryIO) -> dict[str, Tensor]:
    # By its descriptor: the file's name may mean another file by now, or nothing.
    with safe_open(f"/dev/fd/{file.fileno()}", "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118


def require_piece(pieces: Mapping[str, StoredPiece], name: str) -> bytes:
    """Return the bytes of the piece ``name``. Raises CorruptionError if it is missing."""
    piece = _require(pieces, name)
    return piece if isinstance(piece, bytes) else piece.read()


def _require(pieces: Mapping[str, StoredPiece], name: str) -> StoredPiece:
    if name not in pieces:
        raise CorruptionError(f"missing piece {name}; found {', '.join(sorted(pieces)) or 'none'}")
    return pieces[name]


def json_piece(values: Mapping[str, object]) -> bytes:
    """Encode a JSON object; equal values give equal bytes."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, indent=1).encode()


def read_json(pieces: Mapping[str, StoredPiece], name: str) -> dict[str, object]:
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
    *,
    values: bool = True,
) -> None:
    """Check that the tensors have exactly these names, the architecture's shapes, dtype float32 and finite values.

    ``sizes`` has the vocabulary sizes of ``source`` and ``target``; it is only used for sides in ``names``. ``added``
    has the shapes of tensors that are not part of the architecture. With ``values=False`` no tensor is read. Raises
    CorruptionError.
    """
    shapes = {**parameter_shapes(architecture, sizes), **(added or {})}
    check_shapes(tensors, {name: shapes[name] for name in names}, values=values)


def check_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], *, values: bool = True) -> None:
    """Check that the tensors have exactly these names and shapes, dtype float32 and, with ``values``, finite values.

    Raises CorruptionError.
    """
    expected = set(shapes)
    if set(tensors) != expected:
        missing, surplus = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise CorruptionError(f"tensors do not match the architecture: missing {missing}, unexpected {surplus}")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CorruptionError(f"{name}: shape is {tuple(tensor.shape)}; expected {shapes[name]}")
        if tensor.dtype != torch.float32:
            # Other formats were converted as they were read. Nothing converts dtypes later, and a model of mixed dtypes
            # cannot run.
            raise CorruptionError(f"{name}: dtype is {str(tensor.dtype).removeprefix('torch.')}; expected float32")
        if values and not _is_finite(tensor):
            raise CorruptionError(f"{name}: contains NaN or infinite values; expected finite numbers")


def _is_finite(tensor: Tensor) -> bool:
    # One pass without a temporary tensor: NaN is the smallest and largest value of what contains it.
    return tensor.numel() == 0 or all(bool(torch.isfinite(value)) for value in torch.aminmax(tensor.detach()))


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
    tensors: Mapping[str, Tensor],
    tokenizers: Mapping[str, Tokenizer],
    description: Mapping[str, object],
    precision: StoredPrecision = "float32",
) -> str:
    """Return the SHA-256, in hexadecimal, of a description, tokenizers, and the tensors with their names and dtypes.

    Tensors count as they are stored, with the dtype and the bytes of ``precision``.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for side in sorted(tokenizers):
        digest.update(f"\n{side} {tokenizers[side].digest}".encode())
    for name, tensor in sorted(stored_tensors(tensors, precision).items()):
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"\n{name} {dtype} {list(tensor.shape)} ".encode())
        for part in tensor.chunks():
            digest.update(part)
    return digest.hexdigest()
