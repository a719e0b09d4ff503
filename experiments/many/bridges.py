"""Pairs with parallel text: a bridge, and both sides new, beside zero-shot and the pivot through English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from continual_mt.evaluation.significance import compare
from experiments.many.matrix import kinds_of
from experiments.many.run import Run
from experiments.many.settings import BOTH_NEW_TRAINING, BRIDGED, UPDATES, VOCABULARY

KINDS = ("zero-shot", "pivot", "bridge", "both-new")
PART_OF = {"zero-shot": "matrix", "pivot": "matrix", "bridge": "pairs"}


def bridges(run: Run) -> None:
    """Train a bridge for each pair, in the home of the routed chain."""
    for pair in BRIDGED:
        source, target = pair.split("-")
        labels = {"part": "pairs", "pair": pair, "recipe": "bridge", "start": run.start, "updates": UPDATES}
        if not run.is_known(**labels):
            _, made = run.add(pair, bridge=True, on=[f"{source}-en:1", f"en-{target}:1"])
            run.append({**labels, **made, **run.scored(run.recipe(pair, "bridge"))})


def both_new(run: Run) -> None:
    """Train each pair with both sides new, against the parent's frozen body, in a home without the other modules."""
    for pair in BRIDGED:
        labels = {"part": "pairs", "pair": pair, "recipe": "both-new", "updates": BOTH_NEW_TRAINING["updates"]}
        if not run.is_known(**labels):
            keys = {"initialisation": "random", "vocabulary": VOCABULARY, "training": BOTH_NEW_TRAINING}
            _, made = run.add(pair, both_new=True, **keys)
            run.append({**labels, **made, **run.scored(run.recipe(pair, "supervised"))})


def significance(routed: Run, other: Run) -> None:
    """Compare the kinds of each pair that are scored with each other, by paired bootstrap resampling."""
    for pair in BRIDGED:
        zero_shot, pivot = kinds_of(pair)
        recipes = {"zero-shot": zero_shot, "pivot": pivot, "bridge": "bridge"}
        translations = {}
        for name, kind in recipes.items():
            if routed.is_known(part=PART_OF[name], pair=pair, recipe=kind, start=routed.start):
                translations[name] = routed.hypotheses(routed.recipe(pair, kind))
        if other.is_known(part="pairs", pair=pair, recipe="both-new"):
            translations["both-new"] = other.hypotheses(other.recipe(pair, "supervised"))
        compare_all(routed, pair, translations)


def compare_all(run: Run, pair: str, translations: Mapping[str, Sequence[str]]) -> None:
    test = run.test(pair)
    for first, second in combinations((kind for kind in KINDS if kind in translations), 2):
        labels = {"part": "significance", "pair": pair, "first": first, "second": second, "start": run.start}
        if run.is_known(**labels):
            continue
        found = compare(translations[first], translations[second], test.references, test.pair.target, ("bleu", "chrf"))
        values = {f"{one.metric}_difference": round(one.difference, 2) for one in found}
        run.append({**labels, **values, **{f"{one.metric}_p": round(one.p_value, 4) for one in found}})
