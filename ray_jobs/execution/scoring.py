"""Evaluation in this process, one test set after the other."""

from __future__ import annotations

from collections.abc import Sequence

from continual_mt.artifacts.recipe import Recipe
from ray_jobs.console import Display
from registry import Registry
from registry.corpora import ResolvedTest
from registry.evaluation import Evaluation, evaluate


def evaluate_in_process(
    registry: Registry, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int, display: Display
) -> list[Evaluation]:
    """Score recipes on test sets, in the order of ``work``, with a progress bar for each."""
    evaluations = []
    for recipe, test in work:
        with display.counting(f"scoring {recipe.pair} {recipe.kind}", len(test.sources)) as progress:
            evaluations.append(evaluate(registry, recipe, test, beam, progress))
    return evaluations
