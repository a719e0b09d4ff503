"""The two sides of the Transformer: token embeddings, positions, and how both become states."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from continual_mt.model.architecture import Architecture
from continual_mt.model.layers import Norm


@lru_cache(maxsize=32)
def sinusoidal_positions(architecture: Architecture, device: torch.device) -> Tensor:
    """Return the position embeddings (maximum positions, width) of an architecture that does not learn them.

    ``sinusoidal`` is the formula of Vaswani et al. (2017), with sines in the first half and cosines in the second, as
    in Marian; ``sinusoidal-fairseq`` that of fairseq and tensor2tensor, whose frequencies are spaced a little wider.
    Each is computed in the precision of its implementation in Hugging Face's transformers, so that bits are equal.
    """
    width, first = architecture.width, architecture.position_offset
    numbers = torch.arange(first, first + architecture.maximum_positions)
    if architecture.positions == "sinusoidal-fairseq":
        half = width // 2
        steps = torch.arange(half).float() * -(math.log(10000) / (half - 1))
        angles = numbers.float()[:, None] * steps.exp()
    else:
        angles = numbers.double()[:, None] / torch.pow(10000.0, torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(device, torch.float32)


class Source(nn.Module):
    """θ_src: the source language's token embeddings, and its learned positions and norm of embeddings, if any."""

    def __init__(self, size: int, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width
        self.embedding = nn.Parameter(torch.empty(size, width))
        learned = architecture.positions == "learned"
        self.positions = nn.Parameter(torch.empty(architecture.maximum_positions, width)) if learned else None
        self.norm = Norm(width) if architecture.embedding_norm else None
        self._scale = math.sqrt(width) if architecture.scale_embedding else 1.0
        self._architecture = architecture

    def embed(self, tokens: Tensor, position_ids: Tensor, dtype: torch.dtype) -> Tensor:
        """Look up tokens, and add positions: (rows,) and (rows,) to states (rows, width) of this dtype."""
        learned = self.positions
        positions = sinusoidal_positions(self._architecture, tokens.device) if learned is None else learned
        embedded = functional.embedding(tokens, self.embedding) * self._scale
        states = (embedded + functional.embedding(position_ids, positions)).to(dtype)
        return states if self.norm is None else cast(Tensor, self.norm(states))


class Target(Source):
    """θ_tgt: the same of the target language, and its output projection, which may be its embeddings, with its bias."""

    def __init__(self, size: int, architecture: Architecture) -> None:
        super().__init__(size, architecture)
        self.bias = nn.Parameter(torch.empty(size))
        self.output = None if architecture.tied_output else nn.Parameter(torch.empty(size, architecture.width))

    @property
    def projection(self) -> Tensor:
        """The matrix (vocabulary, width) that logits are computed with."""
        return self.embedding if self.output is None else self.output
