"""Training of a task in one worker process, on whichever back end: loading, training and saving."""

from __future__ import annotations

import os
from collections.abc import Iterator
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenized_corpus import Fetch, TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.evaluation import metrics
from continual_mt.inference.torch_model import PairModel
from continual_mt.model.joint_model import JointModel
from continual_mt.model.transformer import Transformer
from continual_mt.threads import spin_briefly
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.encoder_cache import EncodedSources, encode_sources, encoded_bytes
from continual_mt.training.environment import Environment, environment
from continual_mt.training.joint_task import JointPair, JointTask
from continual_mt.training.pair_task import Task, encoder_frozen
from continual_mt.training.progress import ProgressReport
from continual_mt.training.replay import EarlierPair, Replay
from continual_mt.training.trainer import Trainer, computation_dtype, train
from ray_jobs.planning.synthetic_text import share_beside_text
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.planning.training_text import DevelopmentText, MixedText, SeparateTexts, TrainingText


class Worker(Protocol):
    """A worker process as its back end sees it; ``rank`` 0 of ``size`` is the first.

    Every worker calls all methods; the back end passes on only what the first one reports.
    """

    rank: int
    size: int
    device: torch.device
    fetch: Fetch | None
    """Gets a training text from the driver, if this is another process, where it cannot be read here."""

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
    training = _joint_task(task, task.text, worker) if isinstance(task.text, SeparateTexts) else _task(task, worker)
    progress = train(
        training,
        checkpoint=checkpoint,
        development=Development(task),
        save=worker.save,
        report=worker.report,
        stop=worker.stopping,
    )
    if isinstance(training, Task) and training.encoded is not None and progress.finished:
        training.encoded.delete()  # each machine has a file of them


def _task(task: TrainingTask, worker: Worker) -> Task:
    """Training on one text, that of a pair or a mixture."""
    assert not isinstance(task.text, SeparateTexts)
    assert isinstance(task.source, Tokenizer)
    assert isinstance(task.target, Tokenizer)
    model = Transformer.pointing_at(task.architecture, task.starting_tensors()).to(worker.device)
    corpus = _tokens(task.text, task, worker)
    return Task(
        model=model,
        trainable=task.trained,
        corpus=corpus,
        source=task.source,
        target=task.target,
        settings=task.settings,
        seed=task.seed,
        encoded=_encoded(task, model, corpus, task.source, worker),
        replay=_replay(task, worker),
        synthetic=tuple(_synthetic(task, worker)),
    )


def _joint_task(task: TrainingTask, texts: SeparateTexts, worker: Worker) -> JointTask:
    """Training on the texts of several pairs, whose languages have their own sides."""
    tensors = {name: tensor.to(worker.device) for name, tensor in task.starting_tensors().items()}
    pairs = [
        JointPair(text.pair, _tokens(text, task, worker), text.source, text.target, sentences, drawn)
        for text, (drawn, sentences) in zip(texts.texts, texts.drawn, strict=True)
    ]
    model = JointModel(task.architecture, tensors, (one.pair for one in pairs))
    return JointTask(model, task.trained, tuple(pairs), task.settings, task.seed)


def _encoded(
    task: TrainingTask, model: Transformer, corpus: TokenizedCorpus, source: Tokenizer, worker: Worker
) -> EncodedSources | None:
    """The states of a frozen encoder, if they fit into the memory that the settings allow."""
    dtype = computation_dtype(model.device, task.settings.precision)
    size = encoded_bytes(corpus, source, model.architecture.width, dtype)
    if not encoder_frozen(task.trained) or size > task.settings.encoder_cache_gb * 1e9:
        return None
    worker.note(f"the encoder is frozen: its states of {len(corpus):,} sentences are kept ({size / 1e6:,.0f} MB)")
    return encode_sources(model.computing_in(dtype), corpus, source, task.cache)


def _replay(task: TrainingTask, worker: Worker) -> Replay:
    """The earlier pairs. What is skipped of their texts was reported when they were trained."""
    pairs = [
        EarlierPair(text.tokenize(task.cache, worker.fetch), text.source, text.target, sides)
        for text, sides in task.earlier_pairs()
    ]
    if pairs:
        names = ", ".join(str(earlier.pair) for earlier in task.replayed)
        worker.note(f"{task.replay:.0%} of the batches are replayed: {names}")
    return Replay(task.replay, tuple(pairs))


def _synthetic(task: TrainingTask, worker: Worker) -> Iterator[Replay]:
    """What is trained on beside the text, on the model that trains but for what is frozen."""
    shares = sum(one.share for one in task.synthetic)
    for one in task.synthetic:
        half: dict[str, Tensor] = {}
        if one.half is not None:
            assert task.parent is not None
            half = one.half.tensors(task.parent)
        text = one.text
        worker.note(f"{one.share:.0%} of the batches are {one.title}")
        pair = EarlierPair(_tokens(text, task, worker), text.source, text.target, half)
        yield Replay(share_beside_text(one.share, shares), (pair,))


def _tokens(text: TrainingText | MixedText, task: TrainingTask, worker: Worker) -> TokenizedCorpus:
    """A training text of the task's own."""
    corpus = text.tokenize(task.cache, worker.fetch)
    skipped = corpus.skipped
    if skipped.empty or skipped.too_long:
        worker.note(
            f"skipped {skipped.empty} empty and {skipped.too_long} over-long sentence pairs "
            f"(first: {'; '.join(skipped.first)})"
        )
    return corpus


class Development:
    """BLEU, by greedy search, on the sentences of the development text that are used; the mean of several pairs."""

    def __init__(self, task: TrainingTask) -> None:
        self._texts = task.development

    def __call__(self, model: Transformer | JointModel) -> float:
        return fmean(_score(model, text) for text in self._texts)


def _score(model: Transformer | JointModel, text: DevelopmentText) -> float:
    sources, references = zip(*text.sentences, strict=True)
    sides = LanguageSide(text.pair.source, text.source), LanguageSide(text.pair.target, text.target)
    of_pair = model.of(text.pair) if isinstance(model, JointModel) else model
    hypotheses = PairModel(text.pair, of_pair, *sides).translate(sources, beam=1)
    return metrics.tokenized_bleu(hypotheses, references, text.tokenization)
