"""From a resolved job to its parent or module: vocabularies, training, and the parts put together."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.side import LanguageSide
from continual_mt.config.spec import AdditionSpec
from continual_mt.languages import new_side_of
from continual_mt.training.environment import Environment
from continual_mt.training.progress import ProgressReport
from ray_jobs.cluster import connection
from ray_jobs.cluster.progress_actor import ProgressUpdate
from ray_jobs.cluster.ray_trainer import Training
from ray_jobs.console import Display
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.tokenizers import tokenizers
from ray_jobs.planning.training_task import StoredParent, TrainingTask
from registry.blobs import BlobStore


@dataclass(frozen=True)
class Made:
    """What a job made, which no registry knows yet, and what it was computed in."""

    content: Parent | Module
    environment: Environment


def make(
    job: ResolvedJob,
    *,
    name: str,
    storage: str,
    blobs: BlobStore,
    cache: Path,
    display: Display,
    told: Callable[[ProgressReport], None],
) -> Generator[Training, None, Made]:
    """Make it on the cluster that this process is connected to. Yields the training, to go on once that has ended.

    The run ``name`` under ``storage`` is begun, or gone on with; ``told`` hears its reports. The job's parent is read
    from ``blobs``. Raises what `connection.await_capacity` and `Training.checkpoint` do.
    """
    share = connection.share_of(job.spec.resources)
    connection.await_capacity(share, job.spec.resources.wait_minutes, display.say)
    parent = StoredParent(blobs, job.parent.pieces) if job.parent else None
    source, target = tokenizers(job, parent, cache)
    display.say(
        f"{job.title}: {job.train.record.sentences:,} sentence pairs, "
        f"{source.size:,} source and {target.size:,} target types"
    )
    order = TrainingTask.of(job, parent, source, target, share.cpus, cache)
    with display.training(job.title, job.spec.training.updates) as show:

        def heard(news: ProgressUpdate) -> None:
            for note in news.notes:
                display.say(f"{job.title}: {note}")
            for report in news.reports:
                show(report)
                told(report)

        training = Training(
            order,
            name=name,
            storage=storage,
            share=share,
            max_failures=job.spec.resources.max_failures,
            heard=heard,
        )
        yield training
    best = training.checkpoint().best
    sides = LanguageSide(job.pair.source, source), LanguageSide(job.pair.target, target)
    if parent is None or not isinstance(job.spec, AdditionSpec):
        return Made(Parent(job.pair, job.architecture, best, *sides), training.environment)
    loaded = parent.load()
    new = sides[0] if new_side_of(job.pair, loaded.pair) == "source" else sides[1]
    return Made(Module.of(loaded, job.pair, job.spec.scope, best, new.tokenizer), training.environment)
