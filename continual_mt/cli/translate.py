"""``continual-mt translate``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import counting, say
from continual_mt.cli.support.coverage_notes import CoverageNotes
from continual_mt.cli.support.explain import print_choice
from continual_mt.cli.support.spec_options import place
from continual_mt.cli.support.text_io import Input, Output
from continual_mt.errors import IncompatibleError, MisuseError
from continual_mt.home import Home

if TYPE_CHECKING:
    from continual_mt.inference.torch_model import PairModel
    from continual_mt.inference.translator import Translation, Translator

STANDARD = "-"  # standard input or output
MAX_DEFAULT_PROCESSES = 8  # each process needs memory for its batches


class _Choose(TypedDict):
    """What decides which recipe is taken, where none is named."""

    parent: str | None
    modules: Sequence[str]
    test: str | None
    pivot: bool


EPILOG = options.examples(
    "continual-mt translate de-en < letter.de > letter.en",
    "continual-mt translate de-es --input news.de.gz --output news.es --beam 1",
    "continual-mt translate fr-en --recipe retention:de-en < test.fr",
    "continual-mt translate de-es --module de-en:2 --module fr-es@candidate < test.de",
    "continual-mt translate pt-de --recipe pivot:pt-en+en-de < test.pt",
    "continual-mt translate pt-de --recipe pivot:iberia/pt-en+germanic/en-de --pivot-best 5 < test.pt",
    "continual-mt translate pt-de --explain --by-test newstest",
    "continual-mt translate 3f5a0c12 < test.de",
    "tail -f messages.de | continual-mt translate de-en",
    "continual-mt translate de-en --best 5 --beam 5 --backend torch < letter.de   # line number, score, translation",
)


def translate(
    pair: Annotated[str, typer.Argument(metavar="PAIR", help=options.PAIR_OR_DIGEST)],
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Input in UTF-8, a file or URL, plain or compressed (gzip, xz, bzip2, zstd).  [default: stdin]",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Output file, not compressed.  [default: stdout]")
    ] = None,
    beam: options.Beam = 5,
    length_penalty: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Exponent a in score / length^a; 0 prefers short translations.")
    ] = 1.0,
    best: Annotated[
        int,
        typer.Option(min=1, max=64, help="Translations per sentence; above 1, lines have number and score."),
    ] = 1,
    scores: Annotated[
        bool, typer.Option("--scores", help="Write the score and a tab before each translation.")
    ] = False,
    pivot_best: Annotated[
        int,
        typer.Option(min=1, max=64, help="Of a pivot: how many hypotheses of its first leg the second leg translates."),
    ] = 1,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Batch size in source tokens times beam.")] = 8192,
    backend: Annotated[
        str,
        typer.Option(
            help="Engine: torch (reference), ctranslate2 (faster, int8 weights), auto (ctranslate2 if installed)."
        ),
    ] = "auto",
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Worker processes with one thread each, for torch on CPUs.  "
            f"[default: the number of threads of torch, at most {MAX_DEFAULT_PROCESSES}]",
        ),
    ] = None,
    line_buffered: Annotated[
        bool,
        typer.Option(
            "--line-buffered",
            help="Write the translation of each line before the next line is read; slower.  "
            "[default: lines that have arrived are translated together]",
        ),
    ] = False,
    recipe: options.RecipeText = None,
    module: options.Modules = None,
    by_test: options.ByTest = None,
    no_pivot: options.NoPivot = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Translate nothing: list the recipes that the pair could run with, and say why one is chosen.",
        ),
    ] = False,
    parent: options.OfParent = None,
    home: options.Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Of --explain: write JSON.")] = False,
) -> None:
    """Translate text, one sentence per line.

    Writes one line per input line, or --best lines; empty lines stay empty. From a pipe, lines are translated as they
    arrive. A sentence above the model's length limit is translated in parts. The recipe and its digest are printed to
    standard error, and at the end the share of characters that are unknown or spelled in bytes, if there are any; the
    digest selects the same model again.
    """
    import torch

    from continual_mt.inference.backends import select_backend
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.inference.translator import Search
    from registry import Registry

    ends, folder = options.ends(pair), Home.resolve(home)
    choose: _Choose = {"parent": parent, "modules": tuple(module or ()), "test": by_test, "pivot": not no_pivot}
    if explain or as_json:
        if unused := [name for name, given in (("--input", source), ("--output", output)) if given is not None]:
            raise MisuseError(f"{unused[0]}: --explain translates nothing. Fix: leave out {unused[0]}")
        _explain(folder, ends, recipe, choose, only_json=as_json and not explain, as_json=as_json)
        return
    text = Input(None if source in (None, STANDARD) else place(source))
    search = Search(beam, length_penalty, best, batch_tokens, scored=scores or best > 1, pivot_best=pivot_best)
    total = text.check()
    output = None if output == Path(STANDARD) else output
    destination = Output(output, text)
    with Registry.open(folder.path) as registry:
        assembled = registry.assemble(*ends, recipe=recipe, **choose)
    if pivot_best > 1 and not isinstance(assembled, PivotModel):
        raise IncompatibleError(
            f"--pivot-best {pivot_best}: {assembled.recipe} is not a pivot; expected --recipe pivot:PAIR+PAIR. "
            "Fix: leave it out, or name a pivot"
        )
    if assembled.recipe:
        say(f"{assembled.recipe}; digest {assembled.recipe.digest}")
    model = select_backend(assembled, backend, folder.cache)
    if any(leg.transformer.device.type == "cpu" for leg in _in_torch(model)):
        search = replace(search, processes=processes or min(MAX_DEFAULT_PROCESSES, torch.get_num_threads()))

    notes = CoverageNotes(model)
    shown = output is not None or not sys.stdout.isatty()
    with destination as out, counting(str(assembled.pair), total, shown=shown) as progress:
        for chunk in text.chunks(search.processes, line_buffered=line_buffered):
            found = model.translations(chunk.lines, search)
            out.write(list(_lines(chunk.first, found, scores=scores, numbered=best > 1)))
            progress(chunk.first - 1 + len(found))
            chosen = [translation for several in found for translation in several]
            notes.add(chunk.lines, (one.text for one in chosen), sum(one.unknown for one in chosen))
    notes.say()


def _explain(
    home: Home, ends: tuple[str, str | None], recipe: str | None, choose: _Choose, *, only_json: bool, as_json: bool
) -> None:
    from registry import Registry

    source, target = ends
    if only_json:
        raise MisuseError("--json: translations are plain lines; expected it with --explain. Fix: leave out --json")
    if target is None:
        raise MisuseError(f"--explain: {source} is the digest of one recipe; expected a pair. Fix: leave out --explain")
    with Registry.open(home.path) as registry:
        print_choice(registry.recipe_catalog.choice(source, target, kind=recipe, **choose), as_json=as_json)


def _in_torch(model: Translator) -> list[PairModel]:
    """The models that run in PyTorch: this one, or the legs of a pivot."""
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.inference.torch_model import PairModel

    legs = model.legs if isinstance(model, PivotModel) else (model,)
    return [leg for leg in legs if isinstance(leg, PairModel)]


def _lines(first: int, found: list[list[Translation]], *, scores: bool, numbered: bool) -> Iterator[str]:
    for number, translations in enumerate(found, start=first):
        for text, score, _ in translations:
            fields = [str(number)] * numbered + [f"{score:.4f}"] * (scores or numbered) + [text]
            yield "\t".join(fields)
