"""How a batch lies in memory: one row a token, and the grid of sentences × positions that attention needs.

Everything but attention works on rows, so that no product is spent on padding.
Rows are rounded up to a multiple: kernels are compiled for each new number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Layout(Protocol):
    """``places`` (rows,) says which position of its sentence each row is; ``positions`` is the longest sentence's."""

    @property
    def places(self) -> Tensor: ...

    @property
    def positions(self) -> int: ...

    def spread(self, rows: Tensor) -> Tensor:
        """(rows, width) to (sentences, positions, width)."""
        ...

    def collect(self, grid: Tensor) -> Tensor:
        """(sentences, positions, width) to (rows, width)."""
        ...


@dataclass(frozen=True)
class Grid:
    """Rows that already lie as ``sentences`` times ``positions``, the first of which is position ``first``."""

    sentences: int
    positions: int
    device: torch.device
    first: int = 0

    @property
    def places(self) -> Tensor:
        return torch.arange(self.first, self.first + self.positions, device=self.device).repeat(self.sentences)

    def spread(self, rows: Tensor) -> Tensor:
        return rows.view(self.sentences, self.positions, -1)

    def collect(self, grid: Tensor) -> Tensor:
        return grid.reshape(self.sentences * self.positions, -1)


@dataclass(frozen=True)
class Packed:
    """The sentences one behind the other, then at least one row of filler.

    ``cells`` (rows,) is where each row stands in the flattened grid, ``origins`` (sentences × positions,) which row
    each cell of the grid takes: the last one, a filler, where a sentence has ended. ``real`` counts the rows that are
    tokens. No gradient ever comes from a filler or reaches one.
    """

    lengths: Tensor
    places: Tensor
    cells: Tensor
    origins: Tensor
    real: int
    positions: int

    @classmethod
    def of(cls, lengths: Tensor, multiple: int = 1) -> Packed:
        """The layout of at least one sentence, of these ``lengths``, in as few rows as ``multiple`` allows."""
        real, positions = int(lengths.sum()), int(lengths.max())
        count = -(-(real + 1) // multiple) * multiple
        device = lengths.device
        position = torch.arange(positions, device=device)
        inside = position[None] < lengths[:, None]
        starts = lengths.cumsum(0) - lengths
        origins = torch.where(inside, starts[:, None] + position[None], count - 1).flatten()
        cells = torch.zeros(count, dtype=torch.long, device=device)
        cells[:real] = inside.flatten().nonzero().squeeze(1)
        return cls(lengths, cells % positions, cells, origins, real, positions)

    def to(self, device: torch.device) -> Packed:
        tensors = (tensor.to(device) for tensor in (self.lengths, self.places, self.cells, self.origins))
        lengths, places, cells, origins = tensors
        return Packed(lengths, places, cells, origins, self.real, self.positions)

    @property
    def mask(self) -> Tensor:
        """(sentences, 1, 1, positions): zero over tokens, minus infinity behind them; added to attention scores."""
        inside = torch.arange(self.positions, device=self.lengths.device)[None] < self.lengths[:, None]
        return torch.where(inside, 0.0, -torch.inf)[:, None, None]

    def fill(self, tokens: Tensor, filler: int) -> Tensor:
        """(real,) ids to (rows,)."""
        return torch.nn.functional.pad(tokens, (0, len(self.cells) - self.real), value=filler)

    def spread(self, rows: Tensor) -> Tensor:
        grid: Tensor = _Take.apply(rows, self.origins, self.cells, self.real)  # type: ignore[no-untyped-call]
        return grid.view(len(self.lengths), self.positions, rows.shape[1])

    def collect(self, grid: Tensor) -> Tensor:
        cells = grid.reshape(len(self.origins), grid.shape[2])
        rows: Tensor = _Take.apply(cells, self.cells, self.origins, len(cells))  # type: ignore[no-untyped-call]
        return rows


class _Take(torch.autograd.Function):
    """``index_select``, whose gradient is another one: the stock gradient adds row by row, on one thread."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, back: Tensor, real: int) -> Tensor:
        ctx.save_for_backward(back)
        ctx.real = real
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (back,) = ctx.saved_tensors
        taken = gradient.index_select(0, back)
        taken[ctx.real :] = 0
        return taken, None, None, None
