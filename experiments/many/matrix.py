"""All pairs of all languages on one test set: as trained, zero-shot, and through English."""

from __future__ import annotations

import random
from itertools import permutations

from experiments.many.run import Run
from experiments.many.settings import ADDED, PARENT, PARENT_LANGUAGES, UPDATES


def kinds_of(pair: str) -> list[str]:
    """The kinds of recipe that a pair is measured with, before there are bridges."""
    source, target = pair.split("-")
    if {source, target} == set(PARENT_LANGUAGES):
        return ["original"]
    if "en" in (source, target):
        return ["supervised"]
    return ["zero-shot", f"pivot:{source}-en+en-{target}"]


def there(run: Run) -> list[str]:
    trained = {str(module.pair) for module in run.driver.registry.modules(PARENT)}
    added = [language for language in ADDED if {f"{language}-en", f"en-{language}"} <= trained]
    return [*PARENT_LANGUAGES, *added]


def matrix(run: Run) -> None:
    """Score all pairs of the languages that were added already.

    Their order is one of chance, so that several processes can score them together.
    """
    pairs = [f"{source}-{target}" for source, target in permutations(there(run), 2)]
    random.shuffle(pairs)
    for pair in pairs:
        for kind in kinds_of(pair):
            labels = {"part": "matrix", "pair": pair, "recipe": kind, "start": run.start, "updates": UPDATES}
            if not run.is_known(**labels):
                run.append({**labels, **run.scored(run.recipe(pair, kind))})
