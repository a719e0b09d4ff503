"""Evaluation as Ray tasks: many pairs at once, on every machine of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.stored.optional_pieces import required
from continual_mt.errors import ClusterError, ContinualMTError
from continual_mt.inference.assembly import assemble
from ray_jobs.cluster import connection
from ray_jobs.cluster.machine_cache import usable_folder
from registry import Registry
from registry.blobs import BlobStore
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation, NotedLogits, noted_logits, register_evaluation


@dataclass(frozen=True)
class TranslationTask:
    """What a Ray task needs: like a training worker it reads weights by digest and never opens the database.

    ``modules`` has the digest and the pieces of each module, by full name.
    """

    recipe: Recipe
    blobs: BlobStore
    parent: Mapping[str, str]
    modules: Mapping[str, tuple[str, Mapping[str, str]]]
    test: ResolvedTest
    beam: int
    threads: int

    @classmethod
    def of(cls, registry: Registry, recipe: Recipe, test: ResolvedTest, beam: int, threads: int) -> TranslationTask:
        modules = {one.full_name: (one.digest, required(one.pieces)) for one in registry.modules_of(recipe)}
        pieces = required(registry.parent(recipe.parent).pieces)
        return cls(recipe, registry.blobs, pieces, modules, test, beam, threads)


def translate(task: TranslationTask) -> tuple[list[str], NotedLogits]:
    """Return one hypothesis per source, and the logits to note with the scores."""
    torch.set_num_threads(task.threads)
    blobs = task.blobs.keeping_in(usable_folder)
    modules = {
        name: blobs.load(pieces, partial(Module.from_pieces, digest=digest))
        for name, (digest, pieces) in task.modules.items()
    }
    parent = blobs.load(task.parent, partial(Parent.from_pieces, fingerprint=task.recipe.fingerprint))
    model = assemble(task.recipe, parent, modules)
    return model.translate(task.test.sources, beam=task.beam), noted_logits(model, task.test)


def translate_all(
    tasks: Sequence[TranslationTask], done: Callable[[int], None]
) -> Iterator[tuple[int, tuple[list[str], NotedLogits]]]:
    """Translate on the cluster; yields the index of each task and its result, in the order in which they end.

    ``done`` receives how many have ended. Raises the error that a task met, and ClusterError if Ray lost it.
    """
    indices = {ray.remote(num_cpus=task.threads)(translate).remote(task): index for index, task in enumerate(tasks)}
    waiting = list(indices)
    try:
        while waiting:
            (ready,), waiting = ray.wait(waiting, num_returns=1)
            yield indices[ready], ray.get(ready)
            done(len(indices) - len(waiting))
    except RayTaskError as error:
        if isinstance(error.cause, ContinualMTError):
            raise error.cause from error
        raise
    except RayError as error:
        raise ClusterError(f"Ray lost a task that was scoring: {error}; start the same job again") from error
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def evaluate_on_cluster(
    registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, done: Callable[[int], None]
) -> list[Evaluation]:
    """Score recipes on test sets, in the order of ``work``: tasks translate, and this process registers the scores."""
    threads = threads_for(len(work))
    tasks = [TranslationTask.of(registry, recipe, test, beam, threads) for recipe, test in work]
    found: dict[int, Evaluation] = {}
    for index, (hypotheses, logits) in translate_all(tasks, done):
        recipe, test = work[index]
        found[index] = register_evaluation(registry, recipe, test, beam, hypotheses, logits)
    return [found[index] for index in range(len(work))]


def threads_for(tasks: int) -> int:
    """Threads for each of some tasks: an even share of the cluster's CPUs, at most those of one machine."""
    cpus = [int(node.get("CPU", 0)) for node in connection.nodes()]
    return max(1, min(sum(cpus) // tasks, max(cpus)))
