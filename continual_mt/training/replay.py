"""Batches that are mixed into the training of a new pair: of earlier pairs, to reduce forgetting, or of synthetic text.

An earlier pair uses its own source and target side, which stay frozen, and the parameters that are being trained.
Synthetic text is of the new language, and trains its side, too.
"""

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
    """An earlier pair: its corpus, and its two frozen sides as tokenizers and as ``sides``, tensors by full name.

    For synthetic text of the new language ``sides`` has only the groups that are frozen; the others are those of the
    model that trains.
    """

    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    sides: Mapping[str, Tensor]


@dataclass(frozen=True)
class Replay:
    """How much to replay. A ``share`` (0 ≤ share < 1) of all batches comes from ``pairs``; without pairs, none does.

    Replayed batches are added to an update and replace none of the new pair's. Training sees the same new text as
    without replay and takes 1 / (1 − share) times as long.
    """

    share: float = 0.0
    pairs: tuple[EarlierPair, ...] = ()

    def replayed_batches(self, new_batches: int) -> int:
        """Return the total number of batches to replay with ``new_batches`` of the new pair, rounded."""
        return int(new_batches * self.share / (1 - self.share) + 0.5) if self.pairs else 0


class ReplayStream:
    """Iterates over updates; yields the batches that each replays, as (loss, sentence indices).

    Pairs alternate batch by batch, and each pair repeats its corpus in its own shuffled order. The batches depend only
    on the seed and the update's number, so that a run which resumes at ``update`` replays the same ones.
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
                PairLoss(
                    model.with_sides(pair.sides).train(),
                    pair.corpus,
                    pair.source,
                    pair.target,
                    encoder_frozen,
                ),
                UpdateStream(pair.corpus, settings.batch_tokens, 1, seed + place),
            )
            for place, pair in enumerate(replay.pairs, start=1)
        ]
        self._update = self._replayed_count = 0
        for _ in range(update):  # skip the batches of finished updates, which costs little
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
