"""``continual-mt compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, say
from continual_mt.cli.support.spec_options import place
from continual_mt.evaluation.metric_names import METRICS, MetricName
from continual_mt.home import Home

if TYPE_CHECKING:
    from continual_mt.evaluation.significance import Comparison
    from registry.analysis.comparison import Compared

EPILOG = options.examples(
    "continual-mt compare fr-en original retention:de-en",
    "continual-mt compare de-en de-en:1 de-en:2 --test newstest --metric bleu",
    "continual-mt compare de-en de-en:1 de-en:2 --reference second.en --lowercase",
    "continual-mt compare pt-de zero-shot pivot:pt-en+en-de",
)
RECIPE = (
    "original, supervised, bridge, pivot, zero-shot, retention:MODULE, bridge:MODULE, pivot:PAIR+PAIR, or a module "
    "such as de-en:1 or de-en@champion."
)


def compare(
    pair: Annotated[str, typer.Argument(metavar="PAIR", help="Language pair, such as de-en.")],
    first: Annotated[str, typer.Argument(metavar="FIRST", help=RECIPE)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The other recipe, written the same way.")],
    test: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Test set.  [default: the largest one with scores of both]"),
    ] = None,
    reference: options.References = None,
    lowercase: options.Lowercase = False,
    metric: Annotated[MetricName | None, typer.Option(help="Metric.  [default: all]")] = None,
    parent: options.OfParent = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Test whether the difference between two recipes of a pair is significant.

    Applies sacreBLEU's paired bootstrap test with 1,000 resamples to the translations stored by 'evaluate' and by
    training. The difference is the score of SECOND minus the score of FIRST; of offtarget, the percentage in another
    language, lower is better. With --reference, files of further references are used beside the one that was stored.
    """
    from continual_mt.evaluation.significance import compare as bootstrap
    from continual_mt.languages import Pair
    from registry import Registry
    from registry.analysis.comparison import compared
    from registry.corpora import read_reference

    translated = Pair.parse(pair)
    with Registry.open(Home.resolve(home).path) as registry:
        ends = translated.source, translated.target
        recipes = [registry.recipe_catalog.recipe(*ends, parent=parent, kind=word) for word in (first, second)]
        found = compared(registry.catalog, registry.texts, *recipes, test=test)
    metrics = METRICS if metric is None else (metric,)
    further = [read_reference(place(text), len(found.references)) for text in reference or ()]
    lines = found.first_lines, found.second_lines, found.references
    results = bootstrap(*lines, recipes[0].pair.target, metrics, further=further, lowercase=lowercase)
    _print(found, results, 1 + len(further), lowercase, as_json)


def _print(found: Compared, results: list[Comparison], references: int, lowercase: bool, as_json: bool) -> None:
    from dashboards.tables.sequences import comparison_table

    if as_json:
        print_json(
            {
                "first": found.first.to_json(),
                "second": found.second.to_json(),
                "test": found.test,
                "test_digest": found.test_digest,
                "beam": found.beam,
                "sentences": len(found.references),
                "references": references,
                "lowercase": lowercase,
                "comparisons": [result.to_json() for result in results],
            }
        )
        return
    for word, recipe in (("first: ", found.first), ("second:", found.second)):
        say(f"{word} {recipe}" + (f" ({len(recipe.legs)} models per sentence)" if len(recipe.legs) > 1 else ""))
    variant = (f", {references} references" if references > 1 else "") + (", ignoring case" if lowercase else "")
    say(
        f"on {len(found.references):,} sentences of {found.test}, beam {found.beam}{variant}; "
        f"paired bootstrap, {results[0].resamples:,} resamples"
    )
    print_table(comparison_table(results))
