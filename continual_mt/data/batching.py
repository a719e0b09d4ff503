"""Batches of similar lengths, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.packing import PackedLayout, Rounding

POOL_SIZE = 5_000
"""Sentences sorted by length together: enough that attention pads little, few enough that batches differ each epoch."""

ROUNDING = Rounding(rows=64, positions=4, sentences=16)
"""Few shapes to compile kernels for, and little filler."""

Indices = NDArray[np.int64]
Lengths = NDArray[np.int32]


def pad(sequences: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Ragged ids to (sentences, longest), padded on the right with ``filler``, and the lengths (sentences,)."""
    lengths = [len(sequence) for sequence in sequences]
    padded = np.full((len(sequences), max(lengths, default=0)), filler, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)


@dataclass(frozen=True)
class Batch:
    """Tokens as rows: ``source`` and ``inputs`` with filler, ``labels``, one for each real row of inputs, without."""

    source: Tensor
    source_layout: PackedLayout
    inputs: Tensor
    target_layout: PackedLayout
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def make_batch(corpus: TokenizedCorpus, indices: Indices, source: Tokenizer, target: Tokenizer) -> Batch:
    """Source with its end; target inputs shifted right behind start; labels with the end."""
    sources, source_layout = source_rows(corpus, indices, source)
    targets, lengths = corpus.gather("target", indices)
    target_layout = PackedLayout.from_lengths(torch.from_numpy(lengths + 1), ROUNDING)
    ends = np.cumsum(lengths)
    return Batch(
        source=sources,
        source_layout=source_layout,
        inputs=target_layout.append_padding(_insert(targets, ends - lengths, target.start), target.pad),
        target_layout=target_layout,
        labels=_insert(targets, ends, target.end),
    )


def source_rows(corpus: TokenizedCorpus, indices: Indices, source: Tokenizer) -> tuple[Tensor, PackedLayout]:
    """Source sentences with their ends, (rows,), and how they lie."""
    ids, lengths = corpus.gather("source", indices)
    layout = PackedLayout.from_lengths(torch.from_numpy(lengths + 1), ROUNDING)
    return layout.append_padding(_insert(ids, np.cumsum(lengths), source.end), source.pad), layout


def _insert(ids: Indices, places: Indices, special: int) -> Tensor:
    """Flat ids with ``special`` before each of ``places``."""
    return torch.from_numpy(np.insert(ids, places, special))


def epoch_batches(corpus: TokenizedCorpus, batch_tokens: int, seed: int, epoch: int) -> list[Indices]:
    """The batches of one epoch: every sentence once, at most ``batch_tokens`` tokens on either side of each.

    A sentence longer than ``batch_tokens`` is a batch of its own.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(corpus))
    sources, targets = corpus.source_lengths + 1, corpus.target_lengths + 1
    longer = np.maximum(sources, targets)
    batches: list[Indices] = []
    for first in range(0, len(order), POOL_SIZE):
        pool = order[first : first + POOL_SIZE]
        pool = pool[np.lexsort((sources[pool], targets[pool], longer[pool]))]
        batches += _split_by_tokens(pool, sources[pool], targets[pool], batch_tokens)
    return [batches[i] for i in generator.permutation(len(batches))]


def _split_by_tokens(pool: Indices, sources: Lengths, targets: Lengths, batch_tokens: int) -> Iterator[Indices]:
    """Cut a pool wherever another sentence would be too many tokens on either side."""
    first = in_source = in_target = 0
    for last, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        in_source, in_target = in_source + source, in_target + target
        if last > first and max(in_source, in_target) > batch_tokens:
            yield pool[first:last]
            first, in_source, in_target = last, source, target
    if first < len(pool):
        yield pool[first:]


class UpdateStream:
    """Endless updates of ``accumulate`` batches each, over epoch after epoch.

    ``epoch`` and ``consumed`` (batches taken from it) say where it stands; a stream started from them goes on exactly.
    """

    def __init__(
        self, corpus: TokenizedCorpus, batch_tokens: int, accumulate: int, seed: int, epoch: int = 0, consumed: int = 0
    ) -> None:
        self._corpus, self._batch_tokens, self._accumulate, self._seed = corpus, batch_tokens, accumulate, seed
        self.epoch, self.consumed = epoch, consumed
        self._batches = epoch_batches(corpus, batch_tokens, seed, epoch)

    def __iter__(self) -> UpdateStream:
        return self

    def __next__(self) -> list[Indices]:
        update: list[Indices] = []
        while len(update) < self._accumulate:
            if self.consumed == len(self._batches):
                self.epoch, self.consumed = self.epoch + 1, 0
                self._batches = epoch_batches(self._corpus, self._batch_tokens, self._seed, self.epoch)
            update.append(self._batches[self.consumed])
            self.consumed += 1
        return update
