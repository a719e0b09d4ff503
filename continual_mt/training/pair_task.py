"""Training one pair, or several as one text, on the model of a pair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import Indices, UpdateStream
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.architecture import group_of
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Progress
from continual_mt.training.encoder_cache import EncodedSources
from continual_mt.training.pair_loss import PairLoss
from continual_mt.training.replay import Replay, ReplayStream


@dataclass(frozen=True)
class Task:
    """A model and the data to train it on. ``trainable`` are full parameter names; all other parameters are frozen.

    ``source`` and ``target`` are the pair's tokenizers. ``encoded`` are cached states of a frozen encoder; without them
    each batch is encoded again, with the same result up to rounding. ``synthetic`` is text that also
    trains the new side.
    """

    model: Transformer
    trainable: tuple[str, ...]
    corpus: TokenizedCorpus
    source: Tokenizer
    target: Tokenizer
    settings: TrainingSettings
    seed: int
    encoded: EncodedSources | None = None
    replay: Replay = field(default_factory=Replay)
    synthetic: tuple[Replay, ...] = ()


class PairBatches:
    """The batches of each update of a `Task`: those of its corpus, those that are replayed, then synthetic ones."""

    def __init__(self, task: Task, model: Transformer, progress: Progress) -> None:
        settings, is_frozen = task.settings, encoder_frozen(task.trainable)
        self._pair_loss = PairLoss(model, task.corpus, task.source, task.target, is_frozen, task.encoded)
        self._stream = UpdateStream(
            task.corpus, settings.batch_tokens, settings.accumulate, task.seed, progress.epoch, progress.consumed
        )
        self._beside = [
            ReplayStream(replay, model, _encoder_frozen_in(replay, task), settings, task.seed, progress.update)
            for replay in (task.replay, *task.synthetic)
        ]

    @property
    def epoch(self) -> int:
        return self._stream.epoch

    @property
    def consumed(self) -> int:
        return self._stream.consumed

    def __next__(self) -> list[tuple[PairLoss, Indices]]:
        own = [(self._pair_loss, indices) for indices in next(self._stream)]
        return own + [batch for stream in self._beside for batch in next(stream)]


def encoder_frozen(trainable: Iterable[str]) -> bool:
    """Tell whether a sentence's encoder states stay constant while the ``trainable`` parameters train."""
    return not {"source", "encoder"} & {group_of(name) for name in trainable}


def _encoder_frozen_in(replay: Replay, task: Task) -> bool:
    """Whether encoder states stay constant in batches beside the task's text, some groups of whose model are frozen."""
    replaced = {group_of(name) for pair in replay.pairs for name in pair.sides}
    return encoder_frozen(name for name in task.trainable if group_of(name) not in replaced)
