"""From options, and a spec file under them, to a checked spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.cli.support.options import TEST
from continual_mt.errors import LanguageError
from continual_mt.home import expanded

if TYPE_CHECKING:
    from continual_mt.config.loading import AnySpec

ORIGIN = "the command line"
UNNAMED = "unnamed"


def corpus(files: tuple[Path, Path] | None, tsv: Path | None) -> dict[str, str] | None:
    """The keys of a corpus, with absolute paths: those on the command line count from the current folder.

    Both forms at once are left for the spec's own check to refuse.
    """
    named = [("tsv", tsv)] if tsv else []
    named += zip(("source", "target"), files or (), strict=False)
    return {key: str(expanded(path).absolute()) for key, path in named if path is not None} or None


def build(
    kind: type[AnySpec],
    file: Path | None,
    given: Mapping[str, object],
    settings: Sequence[str] | None,
    *,
    test: Mapping[str, str] | None = None,
) -> AnySpec:
    """The spec in ``file`` with the keys that were given in place of its own, and ``--set`` laid over both.

    ``test`` is a test set of the trained pair. Raises SpecError with everything that is wrong.
    """
    from continual_mt.config.loading import assignments, read_values, validate
    from continual_mt.config.spec import merge

    values = {} if file is None else read_values(file)
    # Whole keys are replaced: two files on the command line do not mix with the columns of a TSV in the spec.
    values |= {key: value for key, value in given.items() if value is not None}
    pair = _normal(values.get("pair"))
    if test is not None and pair is not None:  # without a pair, that is what is refused, and once is enough
        values["tests"] = [{**test, "pair": pair, "name": TEST}]
    if "name" in kind.model_fields:
        values.setdefault("name", pair or UNNAMED)
    values = merge(values, assignments(settings or ()))
    base = Path.cwd() if file is None else file.absolute().parent
    return validate(kind, values, origin=ORIGIN if file is None else str(file), base=base)


def _normal(pair: object) -> str | None:
    from continual_mt.languages import Pair

    try:
        return str(Pair.parse(pair)) if isinstance(pair, str) else None
    except LanguageError:
        return None
