"""``continual-mt translate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from continual_mt.cli import options
from continual_mt.cli.lines import Input, Output
from continual_mt.cli.progress import counting
from continual_mt.home import Home

EPILOG = options.examples(
    "continual-mt translate de-en < letter.de > letter.en",
    "continual-mt translate de-es --input news.de.gz --output news.es --beam 1",
    "continual-mt translate fr-en --recipe retention:de-en < test.fr",
)


def translate(
    pair: Annotated[str, typer.Argument(metavar="PAIR")],
    source: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="UTF-8, plain, .gz or .zst.  [default: stdin]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="[default: stdout]")] = None,
    beam: options.Beam = 5,
    length_penalty: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Exponent of the length that a score is divided by.")
    ] = 1.0,
    recipe: options.RecipeText = None,
    parent: options.OfParent = None,
    home: options.Home = None,
) -> None:
    """Translate text, one sentence a line.

    As many lines come out as went in; an empty one stays empty. A sentence over the model's limit is translated in
    pieces.
    """
    from continual_mt.languages import Pair
    from registry import Registry

    translated, text = Pair.parse(pair), Input(source)
    total = text.check()
    destination = Output(output, text)
    with Registry.open(Home.resolve(home).path) as registry:
        model = registry.assemble(translated.source, translated.target, parent=parent, recipe=recipe)

    shown = output is not None or not sys.stdout.isatty()
    with destination as out, counting(pair, total, shown=shown) as progress:
        for chunk in text.chunks():
            lines = model.translate(chunk.lines, beam=beam, length_penalty=length_penalty)
            out.write(lines)
            progress(chunk.first - 1 + len(lines))
