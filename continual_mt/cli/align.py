"""``continual-mt align``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from continual_mt.cli.support import options, spec_options
from continual_mt.cli.support.console import print_json, print_table, say
from continual_mt.errors import InputError, StorageError
from continual_mt.extras import require
from continual_mt.home import Home

EPILOG = options.examples(
    "continual-mt align de fr --lexicon de-fr.tsv",
    "continual-mt align de fr --lexicon de-fr.tsv --map de-fr.png --json",
    "continual-mt align de-en:1 fr --lexicon de-fr.tsv --keep",
)
LANGUAGE = "A language, or a module that adds one: de, de-en:1, de-en@champion."

_FEW_QUERIES = 100
# The 95 % margin of error of a share p over n queries is 1.96 · √(p(1 - p) / n): at most 0.98 / √n, where p is 1/2.
_MARGIN = 0.98


def align(
    first: Annotated[str, typer.Argument(metavar="FIRST", help=LANGUAGE)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help=LANGUAGE)],
    lexicon: Annotated[
        str,
        typer.Option(
            "--lexicon",
            metavar="FILE",
            help="Lexicon: a word of FIRST, a tab or space, a word of SECOND per line.",
        ),
    ],
    side: Annotated[
        Literal["source", "target"] | None,
        typer.Option("--side", help="Side of the embeddings.  [default: the side that has both languages]"),
    ] = None,
    parent: options.OfParent = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="Also draw a map of frequent words and their translations, as PNG."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Store the result in the registry, for the dashboard and the report.")
    ] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Measure how well the embeddings of two languages align.

    Looks up words of FIRST among the words of SECOND and checks the result against the lexicon. Reports precision@1 and
    precision@5. If the parent has a language, its embeddings are used, else those of the module that adds the language.
    """
    from continual_mt.evaluation.alignment import align as align_embeddings
    from continual_mt.evaluation.embedding_map import joint_map
    from continual_mt.evaluation.lexicon import read_lexicon
    from dashboards.tables.artifacts import alignment_table
    from registry import Registry
    from registry.recipes.embeddings import two_embeddings

    _check_map(map_file)
    with Registry.open(Home.resolve(home).path) as registry:
        entries = read_lexicon(spec_options.place(lexicon))
        records = two_embeddings(registry.recipe_catalog, registry.parent(parent), (first, second), side)
        tables = registry.load_embedding(records[0]), registry.load_embedding(records[1])
        title = f"{records[0]} to {records[1]}, {records[0].side} side"
        say(f"{title}: {len(entries.translations):,} words in {lexicon}")
        drawn = joint_map(*tables, entries) if map_file else None
        results = align_embeddings(*tables, entries)
        figures = [result.precision for result in results]
        if map_file and drawn:
            from dashboards.charts.pictures import joint_map_picture

            _write(map_file, joint_map_picture(drawn, title))
            say(f"wrote {map_file}: a map of {len(drawn.labels):,} words")
        if keep:
            registry.register_alignment(*records, entries, figures)
            say("stored; 'continual-mt dashboard' and 'continual-mt report' show it")
    if as_json:
        about = {
            "parent": records[0].parent,
            "side": records[0].side,
            "first": records[0].to_json(),
            "second": records[1].to_json(),
        }
        found = {"results": [result.to_json() for result in results], "map": drawn.to_json() if drawn else None}
        print_json({**about, "lexicon": str(lexicon), "words": len(entries.translations), **found})
    else:
        print_table(alignment_table(figures))
    for queries in sorted({figure.queries for figure in figures if 0 < figure.queries < _FEW_QUERIES}):
        margin = _MARGIN / queries**0.5
        say(f"warning: only {queries} queries; the margin of error of a precision is up to ±{margin:.0%} (95 %)")


def _check_map(path: Path | None) -> None:
    """Check before anything is computed. Raises InputError, and MissingExtraError without the packages."""
    if path is not None:
        require("dashboard", "--map")
    if path is not None and path.suffix.lower() != ".png":
        raise InputError(f"{path}: unsupported file type; expected a name that ends in .png")
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist. Fix: create it")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path}: write failed: {error.strerror or error}") from error
