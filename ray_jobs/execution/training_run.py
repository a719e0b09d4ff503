"""One training of a resolved job on a back end, and the parent or module that it makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.side import LanguageSide
from continual_mt.config.spec import AdditionSpec
from continual_mt.languages import new_side_of
from continual_mt.training.environment import Environment
from continual_mt.training.progress import ProgressReport
from ray_jobs.console import Display
from ray_jobs.execution.backend import ProgressUpdate, TrainingBackend
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.tokenizers import tokenizers
from ray_jobs.planning.training_task import StoredParent, TrainingTask


@dataclass(frozen=True)
class TrainedArtifact:
    """What a training made, not registered yet, and what it was computed in."""

    content: Parent | Module
    environment: Environment


class TrainingRun:
    """A training that is started, or resumed from ``checkpoints``, as this is made. ``on_report`` gets its reports.

    ``parent`` is the parent of an addition. Raises what the back end's `await_capacity` does.
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
    ) -> None:
        self._job, self._parent = job, parent
        resources = job.spec.resources
        share = backend.await_capacity(resources, display.say)
        self._source, self._target = tokenizers(job, parent, cache)
        display.say(
            f"{job.title}: {job.train.record.sentences:,} sentence pairs, "
            f"{self._source.size:,} source and {self._target.size:,} target types"
        )
        task = TrainingTask.of(job, parent, self._source, self._target, share.cpus, cache)
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

    def close(self) -> None:
        """Remove the progress bar."""
        self._progress_bar.close()

    def artifact(self) -> TrainedArtifact:
        """The result of a training that has ended. Raises what the training's `checkpoint` does."""
        self.close()
        best, environment = self.training.checkpoint().best, self.training.environment
        job, parent = self._job, self._parent
        source, target = LanguageSide(job.pair.source, self._source), LanguageSide(job.pair.target, self._target)
        if parent is None or not isinstance(job.spec, AdditionSpec):
            return TrainedArtifact(Parent(job.pair, job.architecture, best, source, target), environment)
        loaded = parent.load()
        new = source if new_side_of(job.pair, loaded.pair) == "source" else target
        return TrainedArtifact(Module.of(loaded, job.pair, job.spec.scope, best, new.tokenizer), environment)
