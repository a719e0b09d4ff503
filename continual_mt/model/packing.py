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


class BatchLayout(Protocol):
    """``places`` (rows,) says which position of its sentence each row is; ``positions`` is the longest sentence's.

    ``rounded`` layouts are of few shapes, so that kernels which are compiled for each new one pay.
    """

    @property
    def position_ids(self) -> Tensor: ...

    @property
    def max_length(self) -> int: ...

    @property
    def rounded(self) -> bool: ...

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        """(rows, width) to (sentences, heads, positions, width of a head)."""
        ...

    def merge_heads(self, grid: Tensor) -> Tensor:
        """Back from what ``spread`` gives."""
        ...


@dataclass(frozen=True)
class PaddedLayout:
    """Rows that already lie as ``sentences`` times ``positions``."""

    sentences: int
    max_length: int
    device: torch.device
    rounded = False

    @property
    def position_ids(self) -> Tensor:
        return torch.arange(self.max_length, device=self.device).repeat(self.sentences)

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        return rows.view(self.sentences, self.max_length, heads, rows.shape[1] // heads).transpose(1, 2)

    def merge_heads(self, grid: Tensor) -> Tensor:
        return grid.transpose(1, 2).reshape(self.sentences * self.max_length, -1)


@dataclass(frozen=True)
class Rounding:
    """What the numbers of rows, of positions and of sentences are rounded up to a multiple of."""

    rows: int = 1
    positions: int = 1
    sentences: int = 1


EXACT = Rounding()


@dataclass(frozen=True)
class PackedLayout:
    """The sentences one behind the other, then at least one row of filler. Sentences without a token are filler, too.

    ``places`` and ``sentences`` (rows,) say where each row belongs; ``rows`` (sentences, positions) which row each cell
    of the grid takes: the last one, a filler, where a sentence has ended. ``real`` counts the rows that are tokens. No
    gradient ever comes from a filler or reaches one.
    """

    lengths: Tensor
    position_ids: Tensor
    sentence_ids: Tensor
    row_ids: Tensor
    token_count: int
    rounded: bool
    _head_indices_cache: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_lengths(cls, lengths: Tensor, rounding: Rounding = EXACT) -> PackedLayout:
        """The layout of at least one sentence, of these ``lengths``, as small as ``rounding`` allows."""
        real, longest = int(lengths.sum()), _round_up(int(lengths.max()), rounding.positions)
        count = _round_up(real + 1, rounding.rows)
        lengths = functional.pad(lengths, (0, -len(lengths) % rounding.sentences))
        position = torch.arange(longest, device=lengths.device)
        inside = position[None] < lengths[:, None]
        starts = lengths.cumsum(0) - lengths
        sentences, places = functional.pad(inside.nonzero(), (0, 0, 0, count - real)).unbind(1)
        rows = torch.where(inside, starts[:, None] + position[None], count - 1)
        return cls(lengths, places.contiguous(), sentences.contiguous(), rows, real, rounding != EXACT)

    def to(self, device: torch.device) -> PackedLayout:
        tensors = (tensor.to(device) for tensor in (self.lengths, self.position_ids, self.sentence_ids, self.row_ids))
        lengths, places, sentences, rows = tensors
        return PackedLayout(lengths, places, sentences, rows, self.token_count, self.rounded)

    @property
    def max_length(self) -> int:
        return self.row_ids.shape[1]

    @property
    def mask(self) -> Tensor:
        return padding_mask(self.lengths, self.max_length)

    def pack(self, padded: Tensor) -> Tensor:
        """(sentences, positions) ids to (rows,)."""
        return padded[self.sentence_ids, self.position_ids]

    def append_padding(self, tokens: Tensor, filler: int) -> Tensor:
        """(real,) ids to (rows,)."""
        return functional.pad(tokens, (0, len(self.position_ids) - self.token_count), value=filler)

    def _head_indices(self, heads: int) -> tuple[Tensor, Tensor]:
        """For slices of a head's width: which one of the rows each of the grid takes, and the other way round."""
        if heads not in self._head_indices_cache:
            head = torch.arange(heads, device=self.row_ids.device)
            there = self.row_ids[:, None] * heads + head[:, None]
            back = (self.sentence_ids[:, None] * heads + head) * self.max_length + self.position_ids[:, None]
            self._head_indices_cache[heads] = there.flatten(), back.flatten()
        return self._head_indices_cache[heads]

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        there, back = self._head_indices(heads)
        slices = rows.reshape(len(self.position_ids) * heads, -1)
        grid: Tensor = _Gather.apply(slices, there, back, self.token_count * heads)  # type: ignore[no-untyped-call]
        return grid.view(len(self.lengths), heads, self.max_length, -1)

    def merge_heads(self, grid: Tensor) -> Tensor:
        there, back = self._head_indices(heads := grid.shape[1])
        slices = grid.reshape(len(there), -1)
        rows: Tensor = _Gather.apply(slices, back, there, len(slices))  # type: ignore[no-untyped-call]
        return rows.view(len(self.position_ids), heads * grid.shape[3])


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def padding_mask(lengths: Tensor, positions: int) -> Tensor:
    """(sentences, 1, 1, positions): zero over tokens, minus infinity behind them; added to attention scores.

    A sentence without a token has its first filler to look at: over nothing there is no softmax.
    """
    inside = torch.arange(positions, device=lengths.device)[None] < lengths.clamp(min=1)[:, None]
    return torch.where(inside, 0.0, -torch.inf)[:, None, None]


class _Gather(torch.autograd.Function):
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
