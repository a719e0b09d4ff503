"""Random starting values of parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from continual_mt.languages import SideName
from continual_mt.model.architecture import ADAPTER, Architecture, group_names, group_of, parameter_names
from continual_mt.model.language_sides import with_language
from continual_mt.model.transformer import Transformer

MATRIX_GAIN = 0.32
"""Scale of newly initialised matrices; see ``initialise``."""

_TABLES = (".embedding", ".positions", "target.output")


@torch.no_grad()
def initialise(tensor: Tensor, name: str, generator: torch.Generator) -> None:
    """Initialise a parameter in place: norm weights with 1, biases with 0, others from a normal distribution.

    Of a low-rank update, B starts at 0 and A with the standard deviation width^-½, where width is that of its input.
    The last matrix of an adapter starts at 0, so that it changes nothing at first.

    The standard deviation of embeddings, of learned positions and of a separate output projection is width^-½ (Vaswani
    et al., 2017). That of matrices is MATRIX_GAIN times the smaller dimension^-½, for example 0.02 at width 256: a
    layer then begins near the identity, and a post-norm model learns much faster than with Glorot initialisation.
    """
    if name.endswith((".bias", ".lora_b", f"{ADAPTER}up.weight")):
        tensor.zero_()
    elif ".norm." in name:
        tensor.fill_(1.0)
    elif name.endswith((*_TABLES, ".lora_a")):
        tensor.normal_(0.0, tensor.shape[1] ** -0.5, generator=generator)
    else:
        tensor.normal_(0.0, MATRIX_GAIN * min(tensor.shape) ** -0.5, generator=generator)


def initial_tensors(
    architecture: Architecture,
    names: tuple[str, ...],
    sizes: Mapping[str, int],
    seed: int,
    added: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Tensor]:
    """Return newly initialised float32 tensors for the named parameters; equal seeds give equal tensors.

    ``sizes`` has the vocabulary sizes of ``source`` and ``target``, ``added`` the shapes of tensors that a scope adds.
    """
    with torch.device("meta"):
        own = Transformer(architecture, sizes["source"], sizes["target"]).state_dict()
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()} | dict(added or {})
    fresh = {name: torch.empty(shapes[name]) for name in names}
    for name, tensor in fresh.items():
        initialise(tensor, name, generator)
    return fresh


def initial_joint_tensors(architecture: Architecture, sizes: Mapping[str, int], seed: int) -> dict[str, Tensor]:
    """Return newly initialised tensors of one body and of languages' sides, by the names of `language_sides`.

    ``sizes`` has the vocabulary sizes by side, such as ``source.es``. Each side has its own random numbers: with one
    seed, rows of the same index would start equal in all tables, although their words have nothing in common.
    """
    body = tuple(name for name in parameter_names(architecture) if group_of(name) not in ("source", "target"))
    tensors = initial_tensors(architecture, body, {"source": 0, "target": 0}, seed)
    for part, size in sizes.items():
        end, _, language = part.partition(".")
        names = group_names(architecture, cast(SideName, end))
        side_seed = int.from_bytes(hashlib.sha256(f"{seed} {part}".encode()).digest()[:7])
        side = initial_tensors(architecture, names, {"source": size, "target": size}, side_seed)
        tensors |= {with_language(name, language): tensor for name, tensor in side.items()}
    return tensors
