"""Build a checked spec from command-line options and a spec file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.cli.support.options import TEST
from continual_mt.errors import LanguageError, SpecError
from continual_mt.home import expanded

if TYPE_CHECKING:
    from continual_mt.config.loading import AnySpec
    from continual_mt.data.corpora.text_url import TextPlace

ORIGIN = "the command line"
UNNAMED = "unnamed"


def text(name: str) -> str:
    """Return the path or URL of a text. Paths on the command line are relative to the current folder; made absolute."""
    return name if "://" in name else str(expanded(_path(name)).absolute())


def _path(name: str) -> Path:
    if name == "-":
        raise SpecError(
            ORIGIN, ["-: is no file. Fix: write /dev/stdin for standard input, or ./- for a file named '-'"]
        )
    return Path(name)


def place(text: str) -> TextPlace:
    """Return the place of a text that no spec names. Raises SpecError for a URL that may hold credentials."""
    from continual_mt.data.corpora.text_url import text_place

    try:
        return text_place(text) or expanded(_path(text))
    except ValueError as error:
        raise SpecError(ORIGIN, [str(error)]) from None


def corpus(files: tuple[str, str] | None, tsv: str | None, *, pair: str | None = None) -> dict[str, str] | None:
    """Return the keys of a corpus, whose files are paths or URLs, with the ``pair`` that it is of, if that is given.

    The spec's own check rejects files and a TSV file together.
    """
    named = [("tsv", tsv)] if tsv else []
    named += zip(("source", "target"), files or (), strict=False)
    found = {key: text(name) for key, name in named if name is not None}
    if pair is not None:
        found["pair"] = pair
    return found or None


def build(
    kind: type[AnySpec],
    file: Path | None,
    given: Mapping[str, object],
    settings: Sequence[str] | None,
    *,
    test: Mapping[str, str] | None = None,
) -> AnySpec:
    """Return the spec of ``file``, with its keys replaced by those given, and by ``--set``.

    ``test`` is a test set of the trained pair. Raises SpecError with all problems.
    """
    from continual_mt.config.loading import assignments, folder_of, read_values, validate
    from continual_mt.config.spec import merge

    values = {} if file is None else read_values(file)
    # Whole keys are replaced: files on the command line must not be mixed with the columns of a TSV file in the spec.
    values |= {key: value for key, value in given.items() if value is not None}
    pair = _normal(values.get("pair"))
    if test is not None and values.get("pairs"):
        raise SpecError(ORIGIN, ["--test: is for one pair. Fix: list the test sets in the spec, under tests"])
    if test is not None and pair is not None:  # a missing pair is reported by the spec's own check
        values["tests"] = [{**test, "pair": pair, "name": TEST}]
    if "name" in kind.model_fields and not values.get("pairs"):
        values.setdefault("name", pair or UNNAMED)
    values = merge(values, assignments(settings or ()))
    base = Path.cwd() if file is None else folder_of(file)
    return validate(kind, values, origin=ORIGIN if file is None else str(file), base=base)


def _normal(pair: object) -> str | None:
    from continual_mt.languages import Pair

    try:
        return str(Pair.parse(pair)) if isinstance(pair, str) else None
    except LanguageError:
        return None
