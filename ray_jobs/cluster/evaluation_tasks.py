"""Test sets translated as Ray tasks: many pairs at once, wherever the cluster has room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import ClusterError, ContinualMTError
from continual_mt.inference.assembly import assemble
from ray_jobs.cluster import connection
from ray_jobs.execution.evaluation import Evaluation, evaluated
from ray_jobs.planning.resolve import ResolvedTest
from registry import Registry
from registry.blobs import BlobStore


@dataclass(frozen=True)
class TranslationOrder:
    """Everything that a task needs: like a training worker it reads weights by digest and never opens the database."""

    recipe: Recipe
    blobs: BlobStore
    parent: Mapping[str, str]
    modules: Mapping[str, Mapping[str, str]]
    sources: tuple[str, ...]
    beam: int
    threads: int

    @classmethod
    def of(
        cls, registry: Registry, recipe: Recipe, sources: tuple[str, ...], beam: int, threads: int
    ) -> TranslationOrder:
        modules = {key.name: registry.module(key.name).pieces for key in recipe.modules}
        pieces = registry.parent(recipe.parent).pieces
        return cls(recipe, registry.blobs, pieces, modules, sources, beam, threads)


def translate(order: TranslationOrder) -> list[str]:
    """One hypothesis a source."""
    torch.set_num_threads(order.threads)
    modules = {name: Module.from_pieces(order.blobs.get_all(pieces)) for name, pieces in order.modules.items()}
    parent = Parent.from_pieces(order.blobs.get_all(order.parent))
    return assemble(order.recipe, parent, modules).translate(order.sources, beam=order.beam)


def translate_all(orders: Sequence[TranslationOrder], done: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """Run orders as tasks; yields the place of each and its hypotheses as they come, ``done`` hears how many have.

    Raises the error that a task met, and ClusterError when Ray lost it.
    """
    tasks = {ray.remote(num_cpus=order.threads)(translate).remote(order): place for place, order in enumerate(orders)}
    waiting = list(tasks)
    try:
        while waiting:
            (ready,), waiting = ray.wait(waiting, num_returns=1)
            yield tasks[ready], ray.get(ready)
            done(len(tasks) - len(waiting))
    except RayTaskError as error:
        if isinstance(error.cause, ContinualMTError):
            raise error.cause from error
        raise
    except RayError as error:
        raise ClusterError(f"Ray lost a task that was scoring: {error}; start the same job again") from error
    finally:
        for task in waiting:
            ray.cancel(task, force=True)


def evaluate_as_tasks(
    registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, done: Callable[[int], None]
) -> list[Evaluation]:
    """Score recipes on test sets, in the order of ``work``: tasks translate, and the scores are registered here."""
    threads = threads_for(len(work))
    orders = [TranslationOrder.of(registry, recipe, test.sources, beam, threads) for recipe, test in work]
    found: dict[int, Evaluation] = {}
    for place, hypotheses in translate_all(orders, done):
        recipe, test = work[place]
        found[place] = evaluated(registry, recipe, test, beam, hypotheses)
    return [found[place] for place in range(len(work))]


def threads_for(tasks: int) -> int:
    """How many threads each of so many tasks gets: the cluster's processors, shared, but no more than a machine has."""
    processors = [int(node.get("CPU", 0)) for node in connection.nodes()]
    return max(1, min(sum(processors) // tasks, max(processors)))
