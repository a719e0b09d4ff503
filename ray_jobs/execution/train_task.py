"""Training of a task in one worker process, on whichever back end: loading, training and saving."""

from __future__ import annotations

import os
from typing import Protocol

import torch

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.evaluation import metrics
from continual_mt.inference.torch_model import PairModel
from continual_mt.model.transformer import Transformer
from continual_mt.threads import spin_briefly
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.encoder_cache import EncodedSources, encode_sources, encoded_bytes
from continual_mt.training.environment import Environment, environment
from continual_mt.training.progress import ProgressReport
from continual_mt.training.replay import EarlierPair, Replay
from continual_mt.training.trainer import Task, Trainer, computation_dtype, encoder_frozen, train
from ray_jobs.planning.training_task import StoredPair, TrainingTask


class Worker(Protocol):
    """A worker process as its back end sees it; ``rank`` 0 of ``size`` is the first.

    Every worker calls all methods; the back end passes on only what the first one reports.
    """

    rank: int
    size: int
    device: torch.device

    def report_environment(self, environment: Environment) -> None: ...

    def note(self, text: str) -> None: ...

    def report(self, report: ProgressReport) -> None: ...

    def stopping(self) -> bool:
        """Whether training is to end after a checkpoint."""

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint."""


def train_task(task: TrainingTask, checkpoint: Checkpoint | None, worker: Worker) -> None:
    """Train until done or stopped; the last checkpoint saved holds the best parameters. Raises TrainingError."""
    torch.set_num_threads(task.threads)
    spin_briefly()
    device = worker.device
    worker.report_environment(environment(device, computation_dtype(device, task.settings.precision), worker.size))
    worker.note(
        f"worker {os.getpid()} on {device}: "
        + (f"continues from update {checkpoint.progress.update}" if checkpoint else "starts")
    )
    model = Transformer.pointing_at(task.architecture, task.starting_tensors()).to(device)
    corpus = _tokens(task, task, task.source, task.target, worker)
    encoded = _encoded(task, model, corpus, worker)
    progress = train(
        Task(
            model=model,
            trainable=task.names(task.trained),
            corpus=corpus,
            source=task.source,
            target=task.target,
            settings=task.settings,
            seed=task.seed,
            encoded=encoded,
            replay=_replay(task, worker),
        ),
        checkpoint=checkpoint,
        development=Development(task),
        save=worker.save,
        report=worker.report,
        stop=worker.stopping,
    )
    if worker.rank == 0 and encoded is not None and progress.finished:
        encoded.delete()


def _encoded(task: TrainingTask, model: Transformer, corpus: TokenizedCorpus, worker: Worker) -> EncodedSources | None:
    """The states of a frozen encoder, if they fit into the memory that the settings allow."""
    dtype = computation_dtype(model.device, task.settings.precision)
    size = encoded_bytes(corpus, model.architecture.width, dtype)
    if not encoder_frozen(task.names(task.trained)) or size > task.settings.encoder_cache_gb * 1e9:
        return None
    worker.note(f"the encoder is frozen: its states of {len(corpus):,} sentences are kept ({size / 1e6:,.0f} MB)")
    return encode_sources(model.computing_in(dtype), corpus, task.source, task.cache)


def _replay(task: TrainingTask, worker: Worker) -> Replay:
    """The earlier pairs. What is skipped of their texts was reported when they were trained."""
    pairs = []
    for earlier in task.replayed:
        assert task.parent is not None
        source, target, sides = earlier.sides(task.parent)
        pairs.append(EarlierPair(_tokens(task, earlier, source, target, None), source, target, sides))
    if pairs:
        names = ", ".join(str(earlier.pair) for earlier in task.replayed)
        worker.note(f"{task.replay:.0%} of the batches are replayed: {names}")
    return Replay(task.replay, tuple(pairs))


def _tokens(
    task: TrainingTask, pair: TrainingTask | StoredPair, source: Tokenizer, target: Tokenizer, worker: Worker | None
) -> TokenizedCorpus:
    """The training text of a pair: the task's own, or one to replay."""
    corpus = tokenize_corpus(
        pair.train.open(pair.pair, task.cache),
        pair.train_digest,
        source,
        target,
        task.cache,
        maximum_tokens=task.architecture.maximum_positions - 1,
    )
    skipped = corpus.skipped
    if worker and (skipped.empty or skipped.too_long):
        worker.note(
            f"skipped {skipped.empty} empty and {skipped.too_long} over-long sentence pairs "
            f"(first: {'; '.join(skipped.first)})"
        )
    return corpus


class Development:
    """BLEU, by greedy search, on the first sentences of the development corpus."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self._sentences: list[tuple[str, str]] | None = None

    def __call__(self, model: Transformer) -> float:
        task = self._task
        if self._sentences is None:
            corpus = task.dev.open(task.pair, task.cache)
            pairs = ((pair.source, pair.target) for pair in corpus.read())
            usable = (pair for pair in pairs if all(text.strip() for text in pair))
            self._sentences = [
                pair for pair, _ in zip(usable, range(task.settings.development_sentences), strict=False)
            ]
        sources, references = zip(*self._sentences, strict=True)
        sides = LanguageSide(task.pair.source, task.source), LanguageSide(task.pair.target, task.target)
        hypotheses = PairModel(task.pair, model, *sides).translate(sources, beam=1)
        return metrics.bleu(hypotheses, references, task.pair.target)
