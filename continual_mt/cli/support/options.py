"""Options that several verbs share, and the shape that all verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from continual_mt.home import DEFAULT_HOME, HOME_VARIABLE

PROGRAM = "continual-mt"
TEST = "test"

Home = Annotated[
    Path | None,
    typer.Option(help=f"Folder that holds everything.  [default: {HOME_VARIABLE}, else ./{DEFAULT_HOME}]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
OfParent = Annotated[str | None, typer.Option("--parent", help="The parent; may be left out while there is one.")]
RecipeText = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        help="original, supervised, zero-shot or retention:MODULE.  [default: the best there is]",
    ),
]
Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        metavar="MODULE",
        help="The version that stands for its pair: de-en:2, de-en@candidate. May be repeated.  "
        "[default: the alias champion, else the best on --by-test, else the newest]",
    ),
]
ByTest = Annotated[
    str | None,
    typer.Option("--by-test", metavar="NAME", help="Of several versions take the best in BLEU on this test set."),
]
PAIR_OR_DIGEST = "A pair, or the digest of a recipe that was run or scored, or its first 8 digits or more."
Beam = Annotated[int, typer.Option(min=1, max=64, help="Width of the beam; 1 is greedy search.")]

SpecFile = Annotated[
    Path | None, typer.Option("--spec", metavar="FILE", help="A YAML spec; other options override its keys.")
]
Train = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--train", metavar="SOURCE TARGET", help="Aligned text files, plain, .gz or .zst."),
]
TrainTsv = Annotated[
    Path | None, typer.Option("--train-tsv", metavar="FILE", help="The same as one file: source, tab, target.")
]
Dev = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--dev", metavar="SOURCE TARGET", help="Development text, which chooses the checkpoint."),
]
DevTsv = Annotated[Path | None, typer.Option("--dev-tsv", metavar="FILE", help="The same as one file.")]
Test = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--test", metavar="SOURCE TARGET", help="Test text; every recipe for the pair is scored on it."),
]
TestTsv = Annotated[Path | None, typer.Option("--test-tsv", metavar="FILE", help="The same as one file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any key of the spec, such as training.updates=2000 or resources.workers=2. May be repeated.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Train finished work a second time.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Ray cluster: auto, HOST:PORT or ray://… to drive it from here, http://HOST:8265 to submit a job to it."
        "  [default: RAY_ADDRESS, else Ray is started here]",
    ),
]
InProcess = Annotated[
    bool,
    typer.Option(
        "--in-process", help="Train in this process, with one worker and without Ray; RAY_ADDRESS is then ignored."
    ),
]


def group(help_text: str) -> typer.Typer:
    """A command that holds verbs."""
    return typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 100},
    )


def examples(*commands: str) -> str:
    """The last paragraph of a verb's help: commands that work as they stand, which a test parses."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
