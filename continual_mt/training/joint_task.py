"""Training several pairs at once, each language with its own side: every batch is of one pair.

The softmax of a batch is over the types of one language, and no sentence has a token that names its language, since its
embeddings are that language's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import EpochStream, Indices, epoch_batches
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import Pair
from continual_mt.model.joint_model import JointModel
from continual_mt.training.pair_loss import PairLoss


@dataclass(frozen=True)
class JointPair:
    """A pair, its corpus and its tokenizers. An epoch draws ``drawn`` of every ``sentences`` sentences (`sampling`)."""

    pair: Pair
    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    sentences: int
    drawn: int


@dataclass(frozen=True)
class JointTask:
    """Models of several pairs, and the data to train them on. ``trainable`` are names of `JointModel`'s parameters."""

    model: JointModel
    trainable: tuple[str, ...]
    pairs: tuple[JointPair, ...]
    settings: TrainingSettings
    seed: int


class JointBatches:
    """An iterator over the batches of each update, as (loss, sentence indices), through one epoch after another.

    The batches of all pairs of an epoch come in one random order, which depends only on seed and epoch; ``epoch`` and
    ``consumed`` are the state, as of `EpochStream`.
    """

    def __init__(self, task: JointTask, model: JointModel, epoch: int, consumed: int) -> None:
        self._task = task
        self._losses = [
            PairLoss(model.of(one.pair), one.corpus, one.source, one.target, encoder_frozen=False) for one in task.pairs
        ]
        self._stream = EpochStream(self._of_epoch, task.settings.accumulate, epoch, consumed)

    def _of_epoch(self, epoch: int) -> list[tuple[PairLoss, Indices]]:
        settings, seed = self._task.settings, self._task.seed
        batches = [
            (loss, indices)
            for number, (loss, one) in enumerate(zip(self._losses, self._task.pairs, strict=True))
            for indices in epoch_batches(
                one.corpus, settings.batch_tokens, seed + number, epoch, one.sentences, one.drawn
            )
        ]
        order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(len(batches))
        return [batches[i] for i in order]

    @property
    def epoch(self) -> int:
        return self._stream.epoch

    @property
    def consumed(self) -> int:
        return self._stream.consumed

    def __iter__(self) -> JointBatches:
        return self

    def __next__(self) -> list[tuple[PairLoss, Indices]]:
        return next(self._stream)
