"""``continual-mt translate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli import options
from continual_mt.cli.lines import Chunk, Input, Output
from continual_mt.cli.progress import counting
from continual_mt.errors import InputError
from continual_mt.home import Home

if TYPE_CHECKING:
    from continual_mt.pair_model import PairModel

EPILOG = options.examples(
    "continual-mt translate de-en < letter.de > letter.en",
    "continual-mt translate de-es --input news.de.gz --output news.es --beam 1",
    "continual-mt translate fr-en --recipe retention:de-en < test.fr",
)


@dataclass(frozen=True)
class Search:
    """How a model translates chunk after chunk."""

    model: PairModel
    beam: int
    length_penalty: float

    def translated(self, chunk: Chunk, name: str, progress: Callable[[int], None]) -> Iterator[list[str]]:
        """The translations of a chunk, in order.

        Raises InputError, naming file and line, at one that cannot be translated, after those before it.
        """
        before = chunk.first - 1
        try:
            yield self._call(chunk.lines, lambda done: progress(before + min(done, len(chunk.lines))))
        except InputError:
            for number, line in enumerate(chunk.lines, start=chunk.first):
                try:
                    alone = self._call([line], lambda done: None)
                except InputError as error:
                    raise InputError(f"{name}, line {number}: {error}") from error
                yield alone
        progress(before + len(chunk.lines))

    def _call(self, lines: list[str], progress: Callable[[int], None]) -> list[str]:
        return self.model.translate(lines, beam=self.beam, length_penalty=self.length_penalty, progress=progress)


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

    search = Search(model, beam, length_penalty)
    shown = output is not None or not sys.stdout.isatty()
    with destination as out, counting(pair, total, shown=shown) as progress:
        for chunk in text.chunks():
            for lines in search.translated(chunk, text.name, progress):
                out.write(lines)
