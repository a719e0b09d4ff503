"""Replay: batches of earlier pairs, each between its own sides, through the parameters that train now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import Indices, UpdateStream
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.transformer import Transformer
from continual_mt.training.pair_loss import PairLoss


@dataclass(frozen=True)
class EarlierPair:
    """A pair's corpus and its own two sides, which stay frozen: tokenizers, and ``sides``, tensors by full name."""

    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    sides: Mapping[str, Tensor]


@dataclass(frozen=True)
class Replay:
    """``share``, from 0 to below 1, of all batches are of earlier pairs; there is none where there are no pairs.

    They come beside the new pair's own batches, of which an update has as many as ever: training takes 1 / (1 − share)
    times as long, and sees just the new text that it sees without replay.
    """

    share: float = 0.0
    pairs: tuple[EarlierPair, ...] = ()

    def replayed_batches(self, new_batches: int) -> int:
        """How many batches have been replayed when ``own`` of the new pair were taken: the nearest whole number."""
        return int(new_batches * self.share / (1 - self.share) + 0.5) if self.pairs else 0


class ReplayStream:
    """What each update replays: its number and the seed alone decide, so that a run goes on exactly.

    Pairs take turns, batch by batch, each going through its corpus over and over in an order of its own.
    """

    def __init__(
        self,
        replay: Replay,
        model: Transformer,
        encoder_frozen: bool,
        settings: TrainingSettings,
        seed: int,
        update: int,
    ) -> None:
        self._replay, self._accumulate = replay, settings.accumulate
        self._pairs = [
            (
                PairLoss(model.with_sides(pair.sides).train(), pair.corpus, pair.source, pair.target, encoder_frozen),
                UpdateStream(pair.corpus, settings.batch_tokens, 1, seed + place),
            )
            for place, pair in enumerate(replay.pairs, start=1)
        ]
        self._update = self._replayed_count = 0
        for _ in range(update):  # what was replayed before is passed by, which is cheap
            next(self)

    def __iter__(self) -> Iterator[list[tuple[PairLoss, Indices]]]:
        return self

    def __next__(self) -> list[tuple[PairLoss, Indices]]:
        self._update += 1
        count = self._replay.replayed_batches(self._update * self._accumulate) - self._replayed_count
        return [self._next_batch() for _ in range(count)]

    def _next_batch(self) -> tuple[PairLoss, Indices]:
        pair_loss, stream = self._pairs[self._replayed_count % len(self._pairs)]
        self._replayed_count += 1
        (indices,) = next(stream)
        return pair_loss, indices
