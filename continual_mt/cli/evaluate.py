"""``continual-mt evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import counting, print_json, print_table, print_text, say
from continual_mt.cli.support.coverage_notes import CoverageNotes
from continual_mt.cli.support.spec_options import ORIGIN, place, text
from continual_mt.errors import IncompatibleError, SpecError
from continual_mt.home import Home

if TYPE_CHECKING:
    from continual_mt.artifacts.pivot import AnyRecipe
    from continual_mt.config.corpus_spec import TestSpec
    from continual_mt.data.corpora.text_url import TextPlace
    from continual_mt.languages import Pair
    from registry import Registry
    from registry.corpora import ResolvedTest

EPILOG = options.examples(
    "continual-mt evaluate de-en --test test.de test.en",
    "continual-mt evaluate fr-en --test test.fr test.en --recipe retention:de-en --beam 1",
    "continual-mt evaluate fr-en --test test.fr test.en --reference second.en --lowercase",
    "continual-mt evaluate fr-en --test test.fr test.en --logits",
    "continual-mt evaluate pt-de --test test.pt test.de --recipe pivot:pt-en+en-de",
)


def evaluate(
    pair: Annotated[str, typer.Argument(metavar="PAIR", help="Language pair, such as de-en.")],
    test: Annotated[
        tuple[str, str],
        typer.Option(
            "--test",
            metavar="SOURCE REFERENCE",
            help="Aligned text, files or URLs, plain or compressed (gzip, xz, bzip2, zstd).",
        ),
    ],
    reference: options.References = None,
    lowercase: options.Lowercase = False,
    recipe: options.RecipeText = None,
    module: options.Modules = None,
    by_test: options.ByTest = None,
    no_pivot: options.NoPivot = False,
    parent: options.OfParent = None,
    beam: options.Beam = 5,
    name: Annotated[str, typer.Option(help="Name of the test set.")] = options.TEST,
    logits: Annotated[
        bool,
        typer.Option(
            "--logits",
            help="Print the SHA-256 of the float32 logits on these sentences instead of scores. Equal digests show "
            "that two models compute exactly the same.",
        ),
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Score a pair on a test set and register the scores.

    BLEU, chrF and chrF++ are computed by sacreBLEU, also for an unchanged copy of the source. The metric offtarget is
    the percentage of translations that py3langid identifies as another language, beside that of the references; '-' if
    it does not know the target language. With --reference or --lowercase, the scores printed are registered beside
    those of one reference and with case, which pairs are shown with.
    """
    from continual_mt.languages import Pair
    from registry import Registry

    if logits and (reference or lowercase):
        raise SpecError(ORIGIN, ["--logits prints no scores. Fix: leave out --reference and --lowercase, or --logits"])
    translated = Pair.parse(pair)
    ends = translated.source, translated.target
    spec = _test_spec(translated, test, name)
    folder = Home.resolve(home)
    with Registry.open(folder.path) as registry:
        chosen = registry.recipe_catalog.recipe(
            *ends, parent=parent, kind=recipe, modules=module or (), test=by_test, pivot=not no_pivot
        )
        from registry.corpora import read_test

        read = read_test(spec.model_copy(update={"pair": str(chosen.pair)}), folder.cache)
        if logits:
            _print_logits(registry, chosen, read, as_json)
        else:
            _print_scores(registry, chosen, read, beam, [place(one) for one in reference or ()], lowercase, as_json)


def _test_spec(pair: Pair, files: tuple[str, str], name: str) -> TestSpec:
    from pydantic import ValidationError

    from continual_mt.config.corpus_spec import TestSpec

    source, target = map(text, files)
    try:
        return TestSpec.model_validate({"pair": str(pair), "name": name, "source": source, "target": target})
    except ValidationError as error:
        raise SpecError(ORIGIN, [_describe(problem) for problem in error.errors(include_url=False)]) from error


def _describe(problem: Mapping[str, Any]) -> str:
    keys = [str(key) for key in problem["loc"]]
    option = "--name" if keys == ["name"] else ", ".join(("--test", *keys))
    return f"{option}: {problem['msg'].removeprefix('Value error, ')}"


def _print_scores(
    registry: Registry,
    recipe: AnyRecipe,
    test: ResolvedTest,
    beam: int,
    references: Sequence[TextPlace],
    lowercase: bool,
    as_json: bool,
) -> None:
    from dashboards.tables.artifacts import metrics_table
    from registry.evaluation import evaluate as score

    cost = _cost(registry, recipe)
    models = f"{cost['models']} models per sentence, " if cost["models"] > 1 else ""
    say(f"{recipe}, on {len(test.sources):,} sentences ({models}{cost['parameters']:,} parameters)")
    with counting(str(recipe.pair), len(test.sources)) as progress:
        evaluation = score(registry, recipe, test, beam, progress, references=references, lowercase=lowercase)
    notes = CoverageNotes(registry.run(recipe))
    if kept := evaluation.scores[0].hypotheses:
        notes.add(test.sources, registry.texts.read(kept))
    notes.say()
    notes.compare(test.references)
    if as_json:
        rates = [record.is_wrong_language for record in evaluation.scores if record.metric == "offtarget"]
        print_json(
            {
                "recipe": recipe.to_json(),
                "test": test.name,
                "sentences": len(test.sources),
                "cost": cost,
                "scores": [record.to_json() for record in evaluation.scores],
                "wrong_language": rates[0] if rates else None,
            }
        )
    else:
        print_table(metrics_table(evaluation.scores))


def _cost(registry: Registry, recipe: AnyRecipe) -> dict[str, int]:
    """Return how many models a sentence runs through, and with how many parameters: those of each, also shared ones."""
    models = [registry.run(leg).transformer for leg in recipe.legs]
    return {
        "models": len(models),
        "parameters": sum(parameter.numel() for model in models for parameter in model.parameters()),
    }


def _print_logits(registry: Registry, recipe: AnyRecipe, test: ResolvedTest, as_json: bool) -> None:
    from continual_mt.artifacts.pivot import Pivot

    if isinstance(recipe, Pivot):
        raise IncompatibleError(
            f"--logits: {recipe.kind} {recipe.pair} has two models, and the second reads what the first wrote. "
            f"Fix: evaluate {' and '.join(str(leg.pair) for leg in recipe.legs)}, or --no-pivot"
        )
    digest = registry.run(recipe).logits_digest(test.sources, test.references)
    if as_json:
        print_json({"recipe": recipe.to_json(), "test": test.name, "sentences": len(test.sources), "logits": digest})
    else:
        print_text(f"{digest}  {recipe}\n")
