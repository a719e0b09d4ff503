"""Two layouts of a batch: packed rows, one per token, and padded tensors of sentences × positions.

Only attention needs padded tensors. All other layers work on packed rows, so they spend nothing on padding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class BatchLayout(Protocol):
    """How the rows of a batch correspond to sentences and positions.

    ``position_ids`` (rows,) is the position of each row in its sentence, and ``max_length`` the number of positions of
    the padded tensors. ``rounded`` is true if sizes are rounded up, so that few different shapes occur and a backend
    that compiles kernels per shape pays off.
    """

    @property
    def position_ids(self) -> Tensor: ...

    @property
    def max_length(self) -> int: ...

    @property
    def rounded(self) -> bool: ...

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        """Pad and split: (rows, width) to (sentences, heads, positions, width of a head)."""
        ...

    def merge_heads(self, padded: Tensor) -> Tensor:
        """Pack and merge, the inverse of ``split_heads``."""
        ...


@dataclass(frozen=True)
class PaddedLayout:
    """Rows that are already padded: row ``sentence * max_length + position``."""

    sentences: int
    max_length: int
    device: torch.device
    rounded = False

    @property
    def position_ids(self) -> Tensor:
        return torch.arange(self.max_length, device=self.device).repeat(self.sentences)

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        return rows.view(self.sentences, self.max_length, heads, rows.shape[1] // heads).transpose(1, 2)

    def merge_heads(self, padded: Tensor) -> Tensor:
        return padded.transpose(1, 2).reshape(self.sentences * self.max_length, -1)


@dataclass(frozen=True)
class Rounding:
    """Round the numbers of rows, positions and sentences up to multiples of these."""

    rows: int = 1
    positions: int = 1
    sentences: int = 1


EXACT = Rounding()


@dataclass(frozen=True)
class PackedLayout:
    """The tokens of all sentences one after another, followed by at least one padding row if any position is padded.

    Attributes:
        lengths: (sentences,) tokens per sentence. Rounding adds sentences of length 0.
        position_ids: (rows,) the position of each row in its sentence.
        sentence_ids: (rows,) the sentence of each row.
        row_ids: (sentences, positions) the row of each position; for padding, the last row.
        token_count: the number of rows that are tokens. All rows after them are padding: gradients neither reach them
            nor come from them.
        rounded: whether sizes were rounded up.
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
        """Build the smallest layout that ``rounding`` allows for sentences of these lengths; at least one is needed."""
        token_count, max_length = int(lengths.sum()), _round_up(int(lengths.max()), rounding.positions)
        # Without padding rows, a single sentence is computed as in other libraries, bit by bit.
        is_padded = token_count < len(lengths) * max_length or rounding != EXACT
        row_count = _round_up(token_count + is_padded, rounding.rows)
        lengths = functional.pad(lengths, (0, -len(lengths) % rounding.sentences))
        position = torch.arange(max_length, device=lengths.device)
        is_token = position[None] < lengths[:, None]
        starts = lengths.cumsum(0) - lengths
        sentence_ids, position_ids = functional.pad(is_token.nonzero(), (0, 0, 0, row_count - token_count)).unbind(1)
        row_ids = torch.where(is_token, starts[:, None] + position[None], row_count - 1)
        return cls(
            lengths, position_ids.contiguous(), sentence_ids.contiguous(), row_ids, token_count, rounding != EXACT
        )

    def to(self, device: torch.device) -> PackedLayout:
        return PackedLayout(
            self.lengths.to(device),
            self.position_ids.to(device),
            self.sentence_ids.to(device),
            self.row_ids.to(device),
            self.token_count,
            self.rounded,
        )

    @property
    def max_length(self) -> int:
        return self.row_ids.shape[1]

    @property
    def mask(self) -> Tensor:
        return padding_mask(self.lengths, self.max_length)

    def pack(self, padded: Tensor) -> Tensor:
        """Pack padded ids: (sentences, positions) to (rows,)."""
        return padded[self.sentence_ids, self.position_ids]

    def append_padding(self, tokens: Tensor, pad_id: int) -> Tensor:
        """Append ``pad_id`` for the padding rows: (token_count,) ids to (rows,)."""
        return functional.pad(tokens, (0, len(self.position_ids) - self.token_count), value=pad_id)

    def _head_indices(self, heads: int) -> tuple[Tensor, Tensor]:
        """Indices that gather slices of a head's width: from packed to padded order, and from padded to packed."""
        if heads not in self._head_indices_cache:
            head = torch.arange(heads, device=self.row_ids.device)
            to_padded = self.row_ids[:, None] * heads + head[:, None]
            to_packed = (self.sentence_ids[:, None] * heads + head) * self.max_length + self.position_ids[:, None]
            self._head_indices_cache[heads] = to_padded.flatten(), to_packed.flatten()
        return self._head_indices_cache[heads]

    def split_heads(self, rows: Tensor, heads: int) -> Tensor:
        to_padded, to_packed = self._head_indices(heads)
        slices = rows.reshape(len(self.position_ids) * heads, -1)
        count = self.token_count * heads
        padded: Tensor = _Gather.apply(slices, to_padded, to_packed, count)  # type: ignore[no-untyped-call]
        return padded.view(len(self.lengths), heads, self.max_length, -1)

    def merge_heads(self, padded: Tensor) -> Tensor:
        to_padded, to_packed = self._head_indices(heads := padded.shape[1])
        slices = padded.reshape(len(to_padded), -1)
        rows: Tensor = _Gather.apply(slices, to_packed, to_padded, len(slices))  # type: ignore[no-untyped-call]
        return rows.view(len(self.position_ids), heads * padded.shape[3])


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def padding_mask(lengths: Tensor, positions: int) -> Tensor:
    """Return (sentences, 1, 1, positions): 0 for tokens and -inf for padding, to be added to attention scores.

    In a sentence of length 0, the first position is not masked: a softmax over no position would be NaN.
    """
    is_token = torch.arange(positions, device=lengths.device)[None] < lengths.clamp(min=1)[:, None]
    return torch.where(is_token, 0.0, -torch.inf)[:, None, None]


class _Gather(torch.autograd.Function):
    """``values[index]`` with the gradient ``gradient[inverse]``, in which rows from ``count`` on are 0.

    The gradient of ``index_select`` adds row by row on a single thread, which is much slower.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, inverse: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.count = count
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (inverse,) = ctx.saved_tensors
        gathered = gradient.index_select(0, inverse)
        gathered[ctx.count :] = 0
        return gathered, None, None, None
