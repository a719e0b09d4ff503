"""How a batch lies in memory: one row a token, and the grid of sentences × positions that attention needs.

Everything but attention works on rows, so that no product is spent on padding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Layout(Protocol):
    """``places`` (rows,) says which position of its sentence each row is; ``positions`` is the longest sentence's.

    ``rounded`` layouts are of few shapes, so that kernels which are compiled for each new one pay.
    """

    @property
    def places(self) -> Tensor: ...

    @property
    def positions(self) -> int: ...

    @property
    def rounded(self) -> bool: ...

    def spread(self, rows: Tensor, heads: int) -> Tensor:
        """(rows, width) to (sentences, heads, positions, width of a head)."""
        ...

    def collect(self, grid: Tensor) -> Tensor:
        """Back from what ``spread`` gives."""
        ...


@dataclass(frozen=True)
class Grid:
    """Rows that already lie as ``sentences`` times ``positions``."""

    sentences: int
    positions: int
    device: torch.device
    rounded = False

    @property
    def places(self) -> Tensor:
        return torch.arange(self.positions, device=self.device).repeat(self.sentences)

    def spread(self, rows: Tensor, heads: int) -> Tensor:
        return rows.view(self.sentences, self.positions, heads, rows.shape[1] // heads).transpose(1, 2)

    def collect(self, grid: Tensor) -> Tensor:
        return grid.transpose(1, 2).reshape(self.sentences * self.positions, -1)


@dataclass(frozen=True)
class Rounding:
    """What the numbers of rows, of positions and of sentences are rounded up to a multiple of."""

    rows: int = 1
    positions: int = 1
    sentences: int = 1


EXACT = Rounding()


@dataclass(frozen=True)
class Packed:
    """The sentences one behind the other, then at least one row of filler. Sentences without a token are filler, too.

    ``places`` and ``sentences`` (rows,) say where each row belongs; ``rows`` (sentences, positions) which row each cell
    of the grid takes: the last one, a filler, where a sentence has ended. ``real`` counts the rows that are tokens. No
    gradient ever comes from a filler or reaches one.
    """

    lengths: Tensor
    places: Tensor
    sentences: Tensor
    rows: Tensor
    real: int
    rounded: bool
    _routes: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, lengths: Tensor, rounding: Rounding = EXACT) -> Packed:
        """The layout of at least one sentence, of these ``lengths``, as small as ``rounding`` allows."""
        real, longest = int(lengths.sum()), _up(int(lengths.max()), rounding.positions)
        count = _up(real + 1, rounding.rows)
        lengths = functional.pad(lengths, (0, -len(lengths) % rounding.sentences))
        position = torch.arange(longest, device=lengths.device)
        inside = position[None] < lengths[:, None]
        starts = lengths.cumsum(0) - lengths
        sentences, places = functional.pad(inside.nonzero(), (0, 0, 0, count - real)).unbind(1)
        rows = torch.where(inside, starts[:, None] + position[None], count - 1)
        return cls(lengths, places.contiguous(), sentences.contiguous(), rows, real, rounding != EXACT)

    def to(self, device: torch.device) -> Packed:
        tensors = (tensor.to(device) for tensor in (self.lengths, self.places, self.sentences, self.rows))
        lengths, places, sentences, rows = tensors
        return Packed(lengths, places, sentences, rows, self.real, self.rounded)

    @property
    def positions(self) -> int:
        return self.rows.shape[1]

    @property
    def mask(self) -> Tensor:
        return padding_mask(self.lengths, self.positions)

    def tokens(self, padded: Tensor) -> Tensor:
        """(sentences, positions) ids to (rows,)."""
        return padded[self.sentences, self.places]

    def fill(self, tokens: Tensor, filler: int) -> Tensor:
        """(real,) ids to (rows,)."""
        return functional.pad(tokens, (0, len(self.places) - self.real), value=filler)

    def _route(self, heads: int) -> tuple[Tensor, Tensor]:
        """For slices of a head's width: which one of the rows each of the grid takes, and the other way round."""
        if heads not in self._routes:
            head = torch.arange(heads, device=self.rows.device)
            there = self.rows[:, None] * heads + head[:, None]
            back = (self.sentences[:, None] * heads + head) * self.positions + self.places[:, None]
            self._routes[heads] = there.flatten(), back.flatten()
        return self._routes[heads]

    def spread(self, rows: Tensor, heads: int) -> Tensor:
        there, back = self._route(heads)
        slices = rows.reshape(len(self.places) * heads, -1)
        grid: Tensor = _Take.apply(slices, there, back, self.real * heads)  # type: ignore[no-untyped-call]
        return grid.view(len(self.lengths), heads, self.positions, -1)

    def collect(self, grid: Tensor) -> Tensor:
        there, back = self._route(heads := grid.shape[1])
        slices = grid.reshape(len(there), -1)
        rows: Tensor = _Take.apply(slices, back, there, len(slices))  # type: ignore[no-untyped-call]
        return rows.view(len(self.places), heads * grid.shape[3])


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def padding_mask(lengths: Tensor, positions: int) -> Tensor:
    """(sentences, 1, 1, positions): zero over tokens, minus infinity behind them; added to attention scores.

    A sentence without a token has its first filler to look at: over nothing there is no softmax.
    """
    inside = torch.arange(positions, device=lengths.device)[None] < lengths.clamp(min=1)[:, None]
    return torch.where(inside, 0.0, -torch.inf)[:, None, None]


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
