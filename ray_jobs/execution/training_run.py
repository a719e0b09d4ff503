"""One training of a resolved job on a back end, and the parent or module that it makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS, listed
from continual_mt.artifacts.vocabulary import named_tokenizers
from continual_mt.config.spec import AdditionSpec
from continual_mt.initialisation.starting_values import StartSummary
from continual_mt.languages import ends_of
from continual_mt.model.architecture import group_of
from continual_mt.training.checkpoint import Checkpoint, Progress
from continual_mt.training.environment import Environment, environment
from continual_mt.training.progress import ProgressReport
from ray_jobs.console import Display
from ray_jobs.execution.backend import ProgressUpdate, RunningTraining, Share, TrainingBackend
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.starting_side import starting_side
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.synthetic_text import SyntheticCorpora
from ray_jobs.planning.tokenizers import tokenizers
from ray_jobs.planning.training_task import TrainingTask
from registry.records.values import JSONObject


@dataclass(frozen=True)
class TrainedArtifact:
    """What a training made, not registered yet.

    ``progress`` is how the training ended, ``environment`` what it was computed in, and ``initialisation`` how a
    module's embeddings started.
    """

    content: Parent | Module
    progress: Progress
    environment: Environment
    initialisation: JSONObject | None = None


class TrainingRun:
    """A training that is started, or resumed from ``checkpoints``, as this is made. ``on_report`` gets its reports.

    ``parent`` is the parent of an addition, and ``made`` what was made to train on, too. Raises what the back end's
    `await_capacity` does.
    """

    def __init__(
        self,
        job: ResolvedJob,
        backend: TrainingBackend,
        parent: StoredParent | None,
        checkpoints: RunCheckpoints,
        *,
        cache: Path,
        display: Display,
        on_report: Callable[[ProgressReport], None] = lambda report: None,
        made: SyntheticCorpora | None = None,
    ) -> None:
        self._job, self._parent = job, parent
        resources = job.spec.resources
        trains = job.spec.training.updates > 0
        share = backend.await_capacity(resources, display.say) if trains else Share(1, resources.cpus or 1, 0)
        self._source, self._target = tokenizers(job, parent, cache)
        tables = {**named_tokenizers("source", self._source), **named_tokenizers("target", self._target)}
        sizes = [f"{one.size - len(one.byte_types):,} {part.replace('.', ' ')}" for part, one in tables.items()]
        types = " and ".join(sizes) if len(sizes) == 2 else listed(sizes)
        display.say(f"{job.title}: {sum(one.sentences for one in job.pairs):,} sentence pairs, {types} types")
        if job.is_joint:
            shares = ", ".join(f"{one.drawn:,} of {one.sentences:,} {one.pair}" for one in job.pairs)
            display.say(f"{job.title}: an epoch draws {shares}")
        for part, tokenizer in tables.items():
            coverage = tokenizer.coverage(_development_sentences(job, part))
            display.say(f"{job.title}: development text, {part.replace('.', ' ')}: {coverage}")
        task = TrainingTask.of(job, parent, self._source, self._target, share.cpus, cache, made)
        self._summary: StartSummary | None = None
        if parent is not None and job.initialisation != "random":
            task = self._with_start(task, parent, cache, display)
        if not trains:
            self.training: RunningTraining = Untrained(task)
            self._progress_bar = ExitStack()
            return
        with ExitStack() as stack:
            show = stack.enter_context(display.training(job.title, job.spec.training.updates))

            def on_update(update: ProgressUpdate) -> None:
                for note in update.notes:
                    display.say(f"{job.title}: {note}")
                for report in update.reports:
                    show(report)
                    on_report(report)

            self.training = backend.start(task, checkpoints, share, resources.max_failures, on_update)
            self._progress_bar = stack.pop_all()

    def _with_start(self, task: TrainingTask, parent: StoredParent, cache: Path, display: Display) -> TrainingTask:
        job = self._job
        tokenizers = job.sides(job.pair, self._source, self._target)
        tensors: dict[str, Tensor] = {}
        for side in ends_of(job.base.side):
            noise = {name: tensor for name, tensor in task.noise().items() if group_of(name) == side}
            start = starting_side(job, side, parent, *tokenizers, noise, cache, display)
            tensors |= start.tensors
            for line in start.summary.lines():
                display.say(f"{job.title}: {line}")
            # The record describes the start of one new side.
            self._summary = start.summary if job.base.side == side else None
        return replace(task, side=tensors)

    def close(self) -> None:
        """Remove the progress bar."""
        self._progress_bar.close()

    def artifact(self) -> TrainedArtifact:
        """The result of a training that has ended. Raises what the training's `checkpoint` does."""
        self.close()
        checkpoint, computed_in = self.training.checkpoint(), self.training.environment
        best, progress = checkpoint.best, checkpoint.progress
        job, parent = self._job, self._parent
        if parent is None or not isinstance(job.spec, AdditionSpec):
            made = Parent(
                job.architecture,
                best,
                self._source,
                self._target,
                job.languages,
                job.form,
                precision=job.spec.stored_precision,
            )
            return TrainedArtifact(made, progress, computed_in)
        loaded = parent.load()
        tables = dict(zip(ENDS, job.sides(job.pair, self._source, self._target), strict=True))
        new = {end: tables[end] for end in ends_of(job.base.side)}
        rests_on = job.base.keys.mapped(lambda key: key.digest)
        module = Module.of(loaded, job.pair, job.spec.scope, best, new, job.spec.stored_precision, rests_on)
        return TrainedArtifact(module, progress, computed_in, self._initialisation())

    def _initialisation(self) -> JSONObject | None:
        if self._summary is None:
            return None
        made_of: JSONObject = {
            "initialisation": self._job.initialisation,
            "word_translations": self._job.word_translations,
        }
        return made_of | cast(JSONObject, self._summary.to_json())


def _development_sentences(job: ResolvedJob, part: str) -> Iterator[str]:
    """The development sentences that a tokenizer reads: those of an end (``source``) or a language (``source.es``)."""
    end, _, language = part.partition(".")
    for one in job.pairs:
        if language in ("", getattr(one.pair, end)):
            yield from (getattr(pair, end) for pair in one.dev.corpus.read())


class Untrained:
    """A `RunningTraining` of no updates: the result is what training would start from, in this process and at once."""

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self.environment = environment(torch.device("cpu"), torch.float32, 1)

    def poll(self, stop: threading.Event, seconds: float) -> bool:
        return True

    def checkpoint(self) -> Checkpoint:
        trained = set(self._task.trained)
        best = {name: tensor for name, tensor in self._task.starting_tensors().items() if name in trained}
        return Checkpoint(Progress(finished=True), {}, best, {}, {})
