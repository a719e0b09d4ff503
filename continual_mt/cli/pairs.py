"""``continual-mt pairs``."""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry import PairEntry, ParentRecord, ScoreRecord

EPILOG = options.examples(
    "continual-mt pairs",
    "continual-mt pairs --parent fr-en --json",
    "continual-mt pairs --module de-en:2 --by-test newstest",
    "continual-mt pairs --no-pivot",
    "continual-mt pairs --parent nllb --language quy",
    "continual-mt pairs --kind pivot --kind zero-shot",
)


class Kind(StrEnum):
    """What a pair may run with: the kinds of `registry.recipes.rule.PREFERENCE`, without importing the registry."""

    original = "original"
    supervised = "supervised"
    bridge = "bridge"
    pivot = "pivot"
    zero_shot = "zero-shot"


def pairs(
    parent: options.OfParent = None,
    module: options.Modules = None,
    by_test: options.ByTest = None,
    no_pivot: options.NoPivot = False,
    language: Annotated[
        str | None, typer.Option(help="Only pairs from or into this language, a tag or the parent's own code.")
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(
            metavar="KIND",
            help="Only pairs that run with this kind of recipe: original, supervised, bridge, pivot or zero-shot. "
            "May be repeated.",
        ),
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """List every pair that can be translated.

    Shows the recipe that each pair runs with, how many models that takes where it is more than one, its best BLEU, and
    the other metrics on the same test set: chrF, chrF++, and how many translations are in another language, beside the
    references'. Of a parent of more than 100 pairs, those without a score and without a module are listed with
    --language only. Pivots that were scored are listed after that, beside the other recipes of their pairs, unless
    --kind is given.
    """
    from continual_mt.evaluation.metric_names import METRICS
    from dashboards.tables.artifacts import pairs_table, results_table
    from dashboards.views.pivots import beside_pivots
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        entries = registry.pairs(parent, modules=module or (), test=by_test, language=language, pivot=not no_pivot)
        parents = [one for one in registry.parents() if parent in (None, one.name)]
        scores = [score for metric in METRICS for score in registry.scores(parent=parent, metric=metric)]
        pivots = []
        if not kind:
            direct = registry.pairs(parent, modules=module or (), test=by_test, language=language, pivot=False)
            pivots = beside_pivots(registry, direct, parent, language)
    shown = [entry for entry in entries if not kind or entry.kind in kind]
    if as_json:
        listed = {entry.recipe.digest for entry in shown}
        print_json([*_to_json(shown, scores), *_pivots_to_json(pivots, listed)])
    elif entries:
        if shown:
            print_table(pairs_table(shown, scores))
        else:
            of_language = "" if language is None else f" of the language {language}"
            say(f"no pair{of_language} runs with {' or '.join(kind or ())}; 'continual-mt pairs' lists the pairs")
        for note in _not_listed(parents, entries) if language is None else ():
            say(note)
    elif language is not None:
        say(f"no pair has the language {language}; 'continual-mt pairs' lists the pairs")
    elif notes := _not_listed(parents, entries):
        for note in notes:
            say(note)
    elif parents:
        say("no pairs yet; add a language with 'continual-mt add'")
    else:
        say("no pairs yet; train a parent with 'continual-mt parent train'")
    if pivots and not as_json:
        print_text("\n")
        print_table(results_table(pivots, by_pair=True))


def _to_json(entries: list[PairEntry], scores: list[ScoreRecord]) -> list[dict[str, object]]:
    """Each entry with all metrics on the same translations, and whether these are in the wrong language."""
    from continual_mt.evaluation.metric_names import METRICS
    from dashboards.tables.artifacts import by_translations

    measured = by_translations(scores)
    rows: list[dict[str, object]] = []
    for entry in entries:
        best = entry.score
        found = {} if best is None else measured.get((entry.recipe.digest, best.test_digest, best.beam), {})
        off_target = found.get("offtarget")
        rows.append(
            {
                **entry.to_json(),
                "metrics": {metric: found[metric].value if metric in found else None for metric in METRICS},
                "offtarget_of_references": off_target.reference_value if off_target else None,
                "wrong_language": off_target.is_wrong_language if off_target else None,
            }
        )
    return rows


def _pivots_to_json(beside: list[ScoreRecord], listed: Container[str]) -> list[dict[str, object]]:
    """Each pivot that is no entry with its score, as entries have it: BLEU on the test set with the most sentences."""
    scores = [score for score in beside if score.kind == "pivot" and score.metric == "bleu"]
    scores = [score for score in scores if score.recipe not in listed]
    best = {score.recipe: score for score in sorted(scores, key=lambda score: (score.sentences, score.value))}
    return [dict(score.to_json()) for score in best.values()]


def _not_listed(parents: list[ParentRecord], entries: list[PairEntry]) -> list[str]:
    """How many pairs of each parent are not listed, and how to list them."""
    notes = []
    for parent in parents:
        listed = sum(entry.parent == parent.name and entry.kind == "original" for entry in entries)
        if more := parent.languages.count - listed:
            notes.append(
                f"{parent.name}: {more:,} more pairs of the parent have no score; "
                "--language XX lists those of a language"
            )
    return notes
