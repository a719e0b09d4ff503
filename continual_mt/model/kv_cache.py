"""What the running sentences of a search look at: their sources, and their own hypotheses so far."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]
"""What an attention looks at: keys and values, both (sentences, heads, positions, width of a head)."""

INITIAL_CAPACITY = 16
"""Positions that there is room for at first; whenever they are used up there will be twice as many."""


class KVCache:
    """The keys and values of ``position`` steps.

    All hypotheses of a sentence write to one row of cells, ``beam`` at each position, and what is written is never
    moved when hypotheses are chosen: ``beam_ancestry_mask`` (sentences, 1, beam, cells), added to attention scores, is
    zero over the cells that a hypothesis descends from and minus infinity over all others; None for a beam of one.
    """

    def __init__(self, cross_keys_values: Sequence[KeysAndValues], mask: Tensor, beam: int) -> None:
        self.cross_keys_values, self.mask, self.beam = list(cross_keys_values), mask, beam
        self.position = -1
        self.beam_ancestry_mask = None if beam == 1 else mask.new_empty(len(mask), 1, beam, 0)
        nothing = self.cross_keys_values[0][0][:, :, :0]
        self._keys_values = [(nothing, nothing) for _ in self.cross_keys_values]

    def begin_step(self) -> None:
        """Make room for another position."""
        self.position += 1
        if self.position * self.beam == self._keys_values[0][0].shape[2]:
            self._keys_values = [(self._grow(keys), self._grow(values)) for keys, values in self._keys_values]
        if self.beam_ancestry_mask is not None:
            itself = self.beam_ancestry_mask.new_full((self.beam, self.beam), -torch.inf).fill_diagonal_(0.0)
            self.beam_ancestry_mask = torch.cat(
                [self.beam_ancestry_mask, itself.expand(len(self.beam_ancestry_mask), 1, -1, -1)], dim=3
            )

    def append(self, layer: int, new: KeysAndValues) -> KeysAndValues:
        """Write a self-attention's keys and values (sentences, heads, beam, width); returns those up to now."""
        first, last = self.position * self.beam, (self.position + 1) * self.beam
        keys, values = self._keys_values[layer]
        keys[:, :, first:last], values[:, :, first:last] = new
        return keys[:, :, :last], values[:, :, :last]

    def reorder(self, origin: Tensor) -> None:
        """``origin`` (sentences, beam) says which hypothesis each new one continues."""
        if self.beam_ancestry_mask is not None:
            self.beam_ancestry_mask = self.beam_ancestry_mask.gather(
                2, origin[:, None, :, None].expand(-1, -1, -1, self.beam_ancestry_mask.shape[3])
            )

    def select(self, chosen: Tensor) -> None:
        """Forget all sentences but those at the places ``chosen``."""
        self.mask = self.mask[chosen]
        self.cross_keys_values = [(keys[chosen], values[chosen]) for keys, values in self.cross_keys_values]
        self._keys_values = [(keys[chosen], values[chosen]) for keys, values in self._keys_values]
        if self.beam_ancestry_mask is not None:
            self.beam_ancestry_mask = self.beam_ancestry_mask[chosen]

    def _grow(self, cells: Tensor) -> Tensor:
        sentences, heads, used, width = cells.shape
        larger = cells.new_empty(sentences, heads, max(2 * used, INITIAL_CAPACITY * self.beam), width)
        larger[:, :, :used] = cells
        return larger
