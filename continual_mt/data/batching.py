"""Training batches of sentences of similar length, in an order that depends only on seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from continual_mt.data.sampling import repeated_indices
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.operations.packing import PackedLayout, Rounding

POOL_SIZE = 5_000
"""Sentences that are sorted by length together.

A larger pool means less padding in attention, but also more similar batches in every epoch.
"""

ROUNDING = Rounding(rows=64, positions=4, sentences=16)
"""A compromise: few different shapes, for which kernels are compiled, and little padding."""

Item = TypeVar("Item")
Indices = NDArray[np.int64]
Lengths = NDArray[np.int32]


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids (sentences, longest), padded on the right with ``pad_id``, and lengths (sentences,), both int64."""
    lengths = [len(sequence) for sequence in sequences]
    padded = np.full((len(sequences), max(lengths, default=0)), pad_id, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)


@dataclass(frozen=True)
class Batch:
    """Packed token ids of a batch.

    ``source`` (rows,) and ``inputs`` (rows,), the decoder's inputs, end with padding rows; ``labels`` (tokens,) has one
    id for each row of ``inputs`` that is not padding.
    """

    source: Tensor
    source_layout: PackedLayout
    inputs: Tensor
    target_layout: PackedLayout
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def make_batch(corpus: TokenizedCorpus, indices: Indices, source: Tokenizer, target: Tokenizer) -> Batch:
    """Build a batch: source + end token, start token + target as decoder inputs, target + end token as labels.

    Language tokens are where the tokenizers have them; those of the target are labels, too.
    """
    sources, source_layout = source_rows(corpus, indices, source)
    targets, lengths = corpus.gather("target", indices)
    inputs = _frame(targets, lengths, target.before_target, ())
    target_layout = PackedLayout.from_lengths(torch.from_numpy(lengths + len(target.before_target)), ROUNDING)
    return Batch(
        source=sources,
        source_layout=source_layout,
        inputs=target_layout.append_padding(inputs, target.pad),
        target_layout=target_layout,
        labels=_frame(targets, lengths, target.before_target[1:], (target.end,)),
    )


def source_rows(corpus: TokenizedCorpus, indices: Indices, source: Tokenizer) -> tuple[Tensor, PackedLayout]:
    """Return packed source ids (rows,), with end and language tokens, and their layout."""
    ids, lengths = corpus.gather("source", indices)
    before, after = source.before_source, source.after_source
    layout = PackedLayout.from_lengths(torch.from_numpy(lengths + len(before) + len(after)), ROUNDING)
    return layout.append_padding(_frame(ids, lengths, before, after), source.pad), layout


def _frame(ids: Indices, lengths: Indices, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Put ``before`` and ``after`` around each of the sentences whose ids are one after another."""
    framed_lengths = lengths + len(before) + len(after)
    ends = np.cumsum(framed_lengths)
    framed = np.empty(int(framed_lengths.sum()), dtype=np.int64)
    is_token = np.ones(len(framed), dtype=bool)
    places = [(ends - framed_lengths + i, token) for i, token in enumerate(before)]
    places += [(ends - len(after) + i, token) for i, token in enumerate(after)]
    for place, token in places:
        framed[place], is_token[place] = token, False
    framed[is_token] = ids
    return torch.from_numpy(framed)


def epoch_batches(
    corpus: TokenizedCorpus, batch_tokens: int, seed: int, epoch: int, sentences: int = 1, drawn: int = 1
) -> list[Indices]:
    """Return the batches of one epoch as arrays of sentence indices; every sentence is in exactly one of them.

    A batch has at most ``batch_tokens`` tokens on each side, with one special token per sentence. A longer sentence
    forms a batch by itself. Of every ``sentences`` sentences ``drawn`` are drawn, so that one may come several times:
    see `sampling`.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(repeated_indices(len(corpus), sentences, drawn))
    sources, targets = corpus.source_lengths + 1, corpus.target_lengths + 1
    longer = np.maximum(sources, targets)
    batches: list[Indices] = []
    for first in range(0, len(order), POOL_SIZE):
        pool = order[first : first + POOL_SIZE]
        pool = pool[np.lexsort((sources[pool], targets[pool], longer[pool]))]
        batches += _split_by_tokens(pool, sources[pool], targets[pool], batch_tokens)
    return [batches[i] for i in generator.permutation(len(batches))]


def _split_by_tokens(pool: Indices, sources: Lengths, targets: Lengths, batch_tokens: int) -> Iterator[Indices]:
    """Split a pool before each sentence that would exceed ``batch_tokens`` on one side."""
    first = in_source = in_target = 0
    for last, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        in_source, in_target = in_source + source, in_target + target
        if last > first and max(in_source, in_target) > batch_tokens:
            yield pool[first:last]
            first, in_source, in_target = last, source, target
    if first < len(pool):
        yield pool[first:]


class EpochStream(Generic[Item]):
    """An endless iterator over updates of ``accumulate`` batches each, through one epoch after another.

    ``batches_of`` returns the batches of an epoch. ``epoch`` and ``consumed``, the number of batches taken from that
    epoch, are the state: a stream that is constructed with them continues exactly where this one is.
    """

    def __init__(
        self, batches_of: Callable[[int], Sequence[Item]], accumulate: int, epoch: int = 0, consumed: int = 0
    ) -> None:
        self._batches_of, self._accumulate = batches_of, accumulate
        self.epoch, self.consumed = epoch, consumed
        self._batches = batches_of(epoch)

    def __iter__(self) -> EpochStream[Item]:
        return self

    def __next__(self) -> list[Item]:
        update: list[Item] = []
        while len(update) < self._accumulate:
            if self.consumed == len(self._batches):
                self.epoch, self.consumed = self.epoch + 1, 0
                self._batches = self._batches_of(self.epoch)
            update.append(self._batches[self.consumed])
            self.consumed += 1
        return update


class UpdateStream(EpochStream[Indices]):
    """The updates of one corpus."""

    def __init__(
        self, corpus: TokenizedCorpus, batch_tokens: int, accumulate: int, seed: int, epoch: int = 0, consumed: int = 0
    ) -> None:
        super().__init__(partial(epoch_batches, corpus, batch_tokens, seed), accumulate, epoch, consumed)
