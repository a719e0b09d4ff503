"""Batches of similar lengths, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from continual_mt.tokenizer import Tokenizer
from continual_mt.tokens import TokenizedCorpus

POOL = 5_000
"""Sentences sorted by length together: enough that padding is small, few enough that batches differ in each epoch."""

Indices = NDArray[np.int64]


def pad(sequences: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Ragged ids to (sentences, longest), padded on the right with ``filler``, and the lengths (sentences,)."""
    lengths = [len(sequence) for sequence in sequences]
    padded = np.full((len(sequences), max(lengths, default=0)), filler, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(padded), torch.tensor(lengths, dtype=torch.int64)


@dataclass(frozen=True)
class Batch:
    """Everything (sentences, positions). ``real`` marks the labels that count, which the loss is taken over."""

    source: Tensor
    source_lengths: Tensor
    inputs: Tensor
    labels: Tensor
    real: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


def make_batch(corpus: TokenizedCorpus, indices: Indices, source: Tokenizer, target: Tokenizer) -> Batch:
    """Source with its end; target inputs shifted right behind start; labels with the end."""
    tokens, lengths = pad([[*corpus.source(i), source.end] for i in indices], source.pad)
    targets = [corpus.target(i) for i in indices]
    inputs, input_lengths = pad([[target.start, *ids] for ids in targets], target.pad)
    labels, _ = pad([[*ids, target.end] for ids in targets], target.pad)
    real = torch.arange(labels.shape[1])[None] < input_lengths[:, None]
    return Batch(tokens, lengths, inputs, labels, real)


def epoch_batches(corpus: TokenizedCorpus, batch_tokens: int, seed: int, epoch: int) -> list[Indices]:
    """The batches of one epoch: every sentence once, at most ``batch_tokens`` padded tokens of the longer side each.

    A sentence longer than ``batch_tokens`` is a batch of its own.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(corpus))
    longer = np.maximum(corpus.source_lengths, corpus.target_lengths) + 1
    batches: list[Indices] = []
    for first in range(0, len(order), POOL):
        pool = order[first : first + POOL]
        pool = pool[np.lexsort((corpus.source_lengths[pool], corpus.target_lengths[pool], longer[pool]))]
        batches += _cut(pool, longer[pool], batch_tokens)
    return [batches[i] for i in generator.permutation(len(batches))]


def _cut(pool: Indices, lengths: NDArray[np.int32], batch_tokens: int) -> Iterator[Indices]:
    """Cut a pool that is sorted by length, so that a batch's last sentence is its longest."""
    first = 0
    for last, length in enumerate(lengths.tolist()):
        if last > first and (last - first + 1) * length > batch_tokens:
            yield pool[first:last]
            first = last
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
