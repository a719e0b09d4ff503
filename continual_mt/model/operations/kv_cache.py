"""The keys and values that a decoder keeps from earlier steps, and those of the encoded sources."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]
"""The keys and values of one attention, both (sentences, heads, positions, width of a head)."""

INITIAL_CAPACITY = 16
"""Positions allocated at the first step; the capacity doubles whenever it is used up."""


class KVCache:
    """Keys and values for incremental decoding with greedy or beam search.

    ``cross_keys_values`` has one entry per decoder layer, computed from the encoded sources, and ``mask``
    (sentences, 1, 1, source positions) is their padding mask. ``position`` is the position being decoded, -1 before
    the first step.

    All hypotheses of a sentence share one tensor of self-attention keys and values with ``beam`` slots per position.
    Choosing hypotheses copies nothing. Instead ``beam_ancestry_mask`` (sentences, 1, beam, slots), which is added to
    attention scores, is 0 for the slots that a hypothesis descends from, and -inf for all others. It is None if the
    beam is 1.
    """

    def __init__(self, cross_keys_values: Sequence[KeysAndValues], mask: Tensor, beam: int) -> None:
        self.cross_keys_values, self.mask, self.beam = list(cross_keys_values), mask, beam
        self.position = -1
        self.beam_ancestry_mask = None if beam == 1 else mask.new_empty(len(mask), 1, beam, 0)
        empty = self.cross_keys_values[0][0][:, :, :0]
        self._keys_values = [(empty, empty) for _ in self.cross_keys_values]

    def begin_step(self) -> None:
        """Advance to the next position and allocate its slots."""
        self.position += 1
        if self.position * self.beam == self._keys_values[0][0].shape[2]:
            self._keys_values = [(self._grow(keys), self._grow(values)) for keys, values in self._keys_values]
        if self.beam_ancestry_mask is not None:
            own_slot = self.beam_ancestry_mask.new_full((self.beam, self.beam), -torch.inf).fill_diagonal_(0.0)
            self.beam_ancestry_mask = torch.cat(
                [self.beam_ancestry_mask, own_slot.expand(len(self.beam_ancestry_mask), 1, -1, -1)], dim=3
            )

    def append(self, layer: int, new: KeysAndValues) -> KeysAndValues:
        """Write the self-attention keys and values of this step, both (sentences, heads, beam, width of a head).

        Returns those of all steps, both (sentences, heads, (position + 1) * beam, width of a head).
        """
        first, last = self.position * self.beam, (self.position + 1) * self.beam
        keys, values = self._keys_values[layer]
        keys[:, :, first:last], values[:, :, first:last] = new
        return keys[:, :, :last], values[:, :, :last]

    def reorder(self, origin: Tensor) -> None:
        """Continue other hypotheses: new hypothesis i of a sentence extends the old one ``origin[sentence, i]``.

        ``origin`` is (sentences, beam).
        """
        if self.beam_ancestry_mask is not None:
            self.beam_ancestry_mask = self.beam_ancestry_mask.gather(
                2, origin[:, None, :, None].expand(-1, -1, -1, self.beam_ancestry_mask.shape[3])
            )

    def select(self, chosen: Tensor) -> None:
        """Keep only the sentences with the indices ``chosen``, in this order."""
        self.mask = self.mask[chosen]
        self.cross_keys_values = [(keys[chosen], values[chosen]) for keys, values in self.cross_keys_values]
        self._keys_values = [(keys[chosen], values[chosen]) for keys, values in self._keys_values]
        if self.beam_ancestry_mask is not None:
            self.beam_ancestry_mask = self.beam_ancestry_mask[chosen]

    def _grow(self, slots: Tensor) -> Tensor:
        sentences, heads, used, width = slots.shape
        larger = slots.new_empty(sentences, heads, max(2 * used, INITIAL_CAPACITY * self.beam), width)
        larger[:, :, :used] = slots
        return larger
