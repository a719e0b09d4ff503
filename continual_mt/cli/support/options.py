"""Options that several verbs share, and helpers for the help of all verbs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.home import DEFAULT_HOME, HOME_VARIABLE

PROGRAM = "continual-mt"
TEST = "test"
_DIGEST = re.compile(r"[0-9a-f]+")

Home = Annotated[
    Path | None,
    typer.Option(
        help=f"Home folder: registry, weights and MLflow runs.  [default: {HOME_VARIABLE}, else ./{DEFAULT_HOME}]"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")]
OfParent = Annotated[str | None, typer.Option("--parent", help="Parent; required only if there are several.")]
RecipeText = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        help="original, supervised, bridge, pivot or zero-shot: the best of this kind; a module such as de-en:2, "
        "bridge:MODULE, retention:MODULE; or pivot:PAIR+PAIR, which translates through a third language (PARENT/ in "
        "front of a pair where there are several).  [default: as --by-test shows, else the first of these kinds]",
    ),
]
Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        metavar="MODULE",
        help="Module version to use for its pair: de-en:2, de-en@candidate. May be repeated.  "
        "[default: the alias champion, else the newest, unless --by-test shows that another is better]",
    ),
]
ByTest = Annotated[
    str | None,
    typer.Option(
        "--by-test",
        metavar="NAME",
        help="Choose recipes and module versions by their BLEU on this test set, where a difference is significant.",
    ),
]
NoPivot = Annotated[
    bool,
    typer.Option(
        "--no-pivot",
        help="Do not translate through a third language, which takes two models, unless --recipe names it.",
    ),
]
PAIR_OR_DIGEST = "A pair such as de-en, or at least 8 digits of the digest of a recipe that was run or scored."
Beam = Annotated[int, typer.Option(min=1, max=64, help="Beam size; 1 is greedy search.")]

References = Annotated[
    list[str] | None,
    typer.Option("--reference", metavar="FILE", help="A further reference of each sentence. May be repeated."),
]
Lowercase = Annotated[bool, typer.Option("--lowercase", help="Ignore case.")]

SpecFile = Annotated[
    Path | None, typer.Option("--spec", metavar="FILE", help="YAML spec; other options override its keys.")
]
Train = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--train",
        metavar="SOURCE TARGET",
        help="Training text: two aligned files or URLs, plain or compressed (gzip, xz, bzip2, zstd).",
    ),
]
TrainTsv = Annotated[
    str | None, typer.Option("--train-tsv", metavar="FILE", help="Training text in one file: source, tab, target.")
]
Dev = Annotated[
    tuple[str, str] | None,
    typer.Option("--dev", metavar="SOURCE TARGET", help="Development text, used to select the best checkpoint."),
]
DevTsv = Annotated[str | None, typer.Option("--dev-tsv", metavar="FILE", help="Development text in one file.")]
Test = Annotated[
    tuple[str, str] | None,
    typer.Option("--test", metavar="SOURCE TARGET", help="Test text, on which every recipe of the pair is scored."),
]
TestTsv = Annotated[str | None, typer.Option("--test-tsv", metavar="FILE", help="Test text in one file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the spec: training.updates=2000, resources.workers=2. May be repeated.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Train finished work a second time.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Ray cluster: auto, HOST:PORT or ray://… to run the driver here, http://HOST:8265 to submit a job."
        "  [default: RAY_ADDRESS, else start Ray on this machine]",
    ),
]
InProcess = Annotated[
    bool,
    typer.Option(
        "--in-process", help="Train in this process, with one worker and without Ray; RAY_ADDRESS is then ignored."
    ),
]
Precision = Annotated[
    StoredPrecision | None,
    typer.Option(
        "--precision",
        help="Format in which the weights are stored; float16 and bfloat16 take half the bytes, int8 a quarter."
        "  [default: float32]",
    ),
]
Rescore = Annotated[
    bool,
    typer.Option(
        "--rescore", help="Translate every pair again, also those whose logits are bit-equal to those of their scores."
    ),
]


def group(help_text: str) -> typer.Typer:
    """Return a command group, to which verbs are added."""
    return typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 100},
    )


def examples(*commands: str) -> str:
    """Return the last paragraph of a verb's help. A test parses each command with the verb's options."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def ends(text: str) -> tuple[str, str | None]:
    """Return source and target of a pair, or the digest of a recipe and None."""
    from continual_mt.languages import Pair

    if _DIGEST.fullmatch(text):
        return text, None
    pair = Pair.parse(text)
    return pair.source, pair.target
