"""What runs on each Ray Train worker."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train.torch import get_device

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import ContinualMTError
from continual_mt.evaluation import metrics
from continual_mt.inference.torch_model import PairModel
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.encoder_cache import EncodedSources, encode_sources, encoded_bytes
from continual_mt.training.environment import environment
from continual_mt.training.replay import EarlierPair, Replay
from continual_mt.training.trainer import Task, Trainer, computation_dtype, encoder_frozen, train
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.planning.training_task import StoredPair, TrainingTask


def run_worker(arguments: dict[Any, Any]) -> None:
    """Carry out the ``order`` in ``arguments``, telling its ``channel``.

    Train until done or told to stop; the last checkpoint reported holds the best parameters.

    An error that another try would meet again goes through the channel, and the driver raises it: a single worker just
    ends, several are ended by Ray, since they wait for each other, and its retries end at once. Anything else is left
    to Ray, which replaces the workers.
    """
    order, channel = arguments["order"], arguments["channel"]
    assert isinstance(order, TrainingTask)
    assert isinstance(channel, Channel)
    if channel.failed():
        return
    try:
        _train(order, channel)
    except ContinualMTError as error:
        channel.fail(error)
        if ray.train.get_context().get_world_size() > 1:
            raise


def _train(order: TrainingTask, channel: Channel) -> None:
    torch.set_num_threads(order.threads)
    first = ray.train.get_context().get_world_rank() == 0
    reported = ray.train.get_checkpoint()
    checkpoint = None
    if reported is not None:
        with reported.as_directory() as folder:
            checkpoint = Checkpoint.load(Path(folder))
    if first:
        device = get_device()
        workers = ray.train.get_context().get_world_size()
        channel.report_environment(environment(device, computation_dtype(device, order.settings.precision), workers))
        channel.note(
            f"worker {os.getpid()} on {device}: "
            + (f"goes on from update {checkpoint.progress.update}" if checkpoint else "starts")
        )
    model = Transformer.pointing_at(order.architecture, order.starting_tensors()).to(get_device())
    corpus = _tokens(order, order, order.source, order.target, channel if first else None)
    encoded = _encoded(order, model, corpus, channel if first else None)
    task = Task(
        model=model,
        trainable=order.names(order.trained),
        corpus=corpus,
        source=order.source,
        target=order.target,
        settings=order.settings,
        seed=order.seed,
        encoded=encoded,
        replay=_replay(order, channel if first else None),
    )
    progress = train(
        task,
        checkpoint=checkpoint,
        development=Development(order),
        save=_report_checkpoint,
        report=channel.report if first else lambda report: None,
        stop=channel.stopping if first else lambda: False,
    )
    if first and encoded is not None and progress.finished:
        encoded.delete()


def _encoded(
    order: TrainingTask, model: Transformer, corpus: TokenizedCorpus, channel: Channel | None
) -> EncodedSources | None:
    """The states of a frozen encoder, where they fit into what the settings give them."""
    dtype = computation_dtype(model.device, order.settings.precision)
    size = encoded_bytes(corpus, model.architecture.width, dtype)
    if not encoder_frozen(order.names(order.trained)) or size > order.settings.encoder_cache_gb * 1e9:
        return None
    if channel:
        channel.note(f"the encoder is frozen: its states of {len(corpus):,} sentences are kept ({size / 1e6:,.0f} MB)")
    return encode_sources(model.computing_in(dtype), corpus, order.source, order.cache)


def _replay(order: TrainingTask, channel: Channel | None) -> Replay:
    """The earlier pairs; what is skipped of their texts was told when they were new."""
    pairs = []
    for earlier in order.replayed:
        assert order.parent is not None
        source, target, sides = earlier.sides(order.parent)
        pairs.append(EarlierPair(_tokens(order, earlier, source, target, None), source, target, sides))
    if channel and pairs:
        names = ", ".join(str(earlier.pair) for earlier in order.replayed)
        channel.note(f"{order.replay:.0%} of the batches are replayed: {names}")
    return Replay(order.replay, tuple(pairs))


def _tokens(
    order: TrainingTask, pair: TrainingTask | StoredPair, source: Tokenizer, target: Tokenizer, channel: Channel | None
) -> TokenizedCorpus:
    """The training text of a pair, the order's own or one to replay."""
    corpus = tokenize_corpus(
        pair.train.open(pair.pair, order.cache),
        pair.train_digest,
        source,
        target,
        order.cache,
        maximum_tokens=order.architecture.maximum_positions - 1,
    )
    skipped = corpus.skipped
    if channel and (skipped.empty or skipped.too_long):
        channel.note(
            f"skipped {skipped.empty} empty and {skipped.too_long} over-long sentence pairs "
            f"(first: {'; '.join(skipped.first)})"
        )
    return corpus


class Development:
    """BLEU, by greedy search, on the first sentences of the development corpus."""

    def __init__(self, order: TrainingTask) -> None:
        self._order = order
        self._sentences: list[tuple[str, str]] | None = None

    def __call__(self, model: Transformer) -> float:
        order = self._order
        if self._sentences is None:
            corpus = order.dev.open(order.pair, order.cache)
            pairs = ((pair.source, pair.target) for pair in corpus.read())
            usable = (pair for pair in pairs if all(text.strip() for text in pair))
            self._sentences = [
                pair for pair, _ in zip(usable, range(order.settings.development_sentences), strict=False)
            ]
        sources, references = zip(*self._sentences, strict=True)
        sides = LanguageSide(order.pair.source, order.source), LanguageSide(order.pair.target, order.target)
        hypotheses = PairModel(order.pair, model, *sides).translate(sources, beam=1)
        return metrics.bleu(hypotheses, references, order.pair.target)


def _report_checkpoint(trainer: Trainer) -> None:
    """Every worker reports; only the first one's report carries the checkpoint."""
    state = trainer.checkpoint()
    metrics = {"update": trainer.progress.update, "finished": trainer.progress.finished}
    if trainer.workers.rank != 0:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        state.save(Path(folder))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
