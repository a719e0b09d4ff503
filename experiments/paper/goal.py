"""The mean difference of each setting to ``body``, with its interval, from the translations in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from continual_mt.evaluation.pooled import bleu_of, bleu_statistics, draws
from continual_mt.evaluation.significance import RESAMPLES, SEED
from experiments.paper.settings import PAIRS, SETTINGS
from experiments.run import Row
from experiments.tables import Table
from experiments.texts import read
from registry import Registry

Resampled = NDArray[np.float64]
"""BLEU of the test set, then of its resamples: (1 + RESAMPLES,)."""
Scores = Mapping[str, Sequence[Resampled]]
"""The scores of a setting: of each pair, one for each seed."""
PERCENTILES = (2.5, 97.5)


def goal_table(rows: Sequence[Row], folder: Path) -> Table:
    """One line a setting, one column a start of ``body``: the mean difference of BLEU over all pairs.

    ``rows`` are the supervised scores of one table that count. Settings without all pairs are left out.
    """
    found: dict[tuple[str, str], Scores] = {}
    with Registry.open(folder / "home") as registry:
        for scope, start in SETTINGS:
            chosen = [row for row in rows if (row["scope"], row["start"]) == (scope, start)]
            by_pair = {pair: [row for row in chosen if row["pair"] == pair] for pair in PAIRS}
            if all(by_pair.values()):
                found[scope, start] = {
                    pair: [resampled_bleu(registry, row, folder) for row in of_pair]
                    for pair, of_pair in by_pair.items()
                }
    bodies = [setting for setting in found if setting[0] == "body"]
    lines = []
    for setting, scores in found.items():
        cells = [shown(mean_difference(scores, found[body])) if body != setting else "" for body in bodies]
        lines.append([f"`{setting[0]}`", setting[1], str(min(map(len, scores.values()))), *cells])
    return ["scope", "start", "seeds", *(f"− `body`, {start}" for _, start in bodies)], lines if bodies else []


def resampled_bleu(registry: Registry, row: Row, folder: Path) -> Resampled:
    """The same sentences are drawn for all pairs, whose test sets are one text in several languages."""
    target = row["pair"].split("-")[1]
    references = read(folder / "texts" / f"test.{target}")
    statistics = bleu_statistics(hypotheses(registry, row), references, target)
    drawn = draws(len(references)) @ statistics
    return np.array([bleu_of(statistics.sum(axis=0)), *map(bleu_of, drawn)])


def hypotheses(registry: Registry, row: Row) -> list[str]:
    """The translations that a row's scores were measured on; its recipe has one test set."""
    languages = row["pair"].split("-")
    catalog = registry.recipe_catalog
    recipe = catalog.recipe(*languages, parent=row["parent"], modules=row["modules"], kind=row["kind"])
    blobs = {score.hypotheses for score in registry.scores(recipe=recipe.digest)}
    (blob,) = blobs
    return registry.texts.read(blob or "")


def mean_difference(first: Scores, second: Scores) -> tuple[float, float, float]:
    """The mean over pairs and seeds of first − second, and its 95 % interval.

    Both sentences and seeds are resampled: sentences alike for both, seeds for each pair and setting. With three seeds
    the interval is somewhat too narrow; with one seed it has the chance of sentences only.
    """
    generator = np.random.default_rng(SEED)
    means = [np.mean([_mean(scores[pair], generator) for pair in first], axis=0) for scores in (first, second)]
    difference = means[0] - means[1]
    low, high = np.percentile(difference[1:], PERCENTILES)
    return float(difference[0]), float(low), float(high)


def _mean(seeds: Sequence[Resampled], generator: np.random.Generator) -> Resampled:
    """The mean over the seeds, then over as many seeds drawn with replacement for each resample."""
    scores = np.stack(seeds)  # seeds × (1 + RESAMPLES)
    drawn = generator.integers(len(seeds), size=(len(seeds), RESAMPLES))
    resampled = np.take_along_axis(scores[:, 1:], drawn, axis=0)
    return np.array([scores[:, 0].mean(), *resampled.mean(axis=0)])


def shown(difference: tuple[float, float, float]) -> str:
    mean, low, high = difference
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
