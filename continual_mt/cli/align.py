"""``continual-mt align``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.output import print_json, print_table, say
from continual_mt.errors import InputError, StorageError
from continual_mt.extras import require
from continual_mt.home import Home

EPILOG = options.examples(
    "continual-mt align de fr --lexicon de-fr.tsv",
    "continual-mt align de fr --lexicon de-fr.tsv --map de-fr.png --json",
    "continual-mt align de-en:1 fr --lexicon de-fr.tsv --keep",
)
WHAT = "A language, or one version of a module that brings it: de, de-en:1, de-en@champion."

_FEW = 100
# Half of a 95 % interval around a share of one half is this over the root of the queries: 1.96 · √¼.
_HALF_WIDTH = 0.98


def align(
    first: Annotated[str, typer.Argument(metavar="FIRST", help=WHAT)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help=WHAT)],
    lexicon: Annotated[
        Path,
        typer.Option("--lexicon", metavar="FILE", help="A word of FIRST and one of SECOND a line, plain, .gz or .zst."),
    ],
    side: Annotated[
        Literal["source", "target"] | None,
        typer.Option("--side", help="Whose embeddings.  [default: the side that both languages are on]"),
    ] = None,
    parent: options.OfParent = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="Draw frequent words and their translations, a PNG."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the result in the registry, for the page and the report.")
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Measure how well the embeddings of two languages align.

    Words of FIRST are looked up among those of SECOND, and the lexicon says what is right. A language is the parent's
    where the parent has it, else that of the module that stands for the pair that brings it.
    """
    from continual_mt.evaluation.alignment import align as look_up
    from continual_mt.evaluation.embedding_map import joint_map
    from continual_mt.evaluation.lexicon import read_lexicon
    from dashboards.tables.artifacts import alignment_table
    from registry import Registry
    from registry.queries.embeddings import two_embeddings

    _check_map(map_file)
    with Registry.open(Home.resolve(home).path) as registry:
        gold = read_lexicon(lexicon)
        ends = two_embeddings(registry, registry.parent(parent), (first, second), side)
        tables = registry.load_embedding(ends[0]), registry.load_embedding(ends[1])
        title = f"{ends[0]} to {ends[1]}, {ends[0].side} side"
        say(f"{title}: {len(gold.translations):,} words in {lexicon}")
        drawn = joint_map(*tables, gold) if map_file else None
        results = look_up(*tables, gold)
        figures = [result.precision for result in results]
        if map_file and drawn:
            from dashboards.charts.alignment_map import draw

            _write(map_file, draw(drawn, title))
            say(f"{map_file} shows {len(drawn.labels):,} words")
        if keep:
            registry.register_alignment(*ends, gold, figures)
            say("kept; 'continual-mt dashboard' and 'continual-mt report' show it")
    if as_json:
        about = {
            "parent": ends[0].parent,
            "side": ends[0].side,
            "first": ends[0].to_json(),
            "second": ends[1].to_json(),
        }
        found = {"results": [result.to_json() for result in results], "map": drawn.to_json() if drawn else None}
        print_json({**about, "lexicon": str(lexicon), "words": len(gold.translations), **found})
    else:
        print_table(alignment_table(figures))
    for queries in sorted({figure.queries for figure in figures if 0 < figure.queries < _FEW}):
        off = _HALF_WIDTH / queries**0.5
        say(f"{queries} queries are few: by their choice alone a precision may be {off:.0%} off (95 %)")


def _check_map(path: Path | None) -> None:
    """Before anything is computed. Raises InputError, and MissingExtraError where the packages for it are missing."""
    if path is not None:
        require("dashboard", "--map")
    if path is not None and path.suffix.lower() != ".png":
        raise InputError(f"{path}: a map is a PNG; give it a name that ends in .png")
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
