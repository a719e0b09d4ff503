"""Two recipes of a pair on the same test set: what each translated, as it was kept with its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import IncompatibleError, InputError
from registry.queries.catalog import Catalog
from registry.records.corpora import CorpusRecord
from registry.records.names import unknown
from registry.records.scores import ScoreRecord
from registry.writes.texts import Texts

_Place = tuple[str, int]


@dataclass(frozen=True)
class Compared:
    """Two recipes' translations of one test set with one width of the beam, and the references."""

    first: AnyRecipe
    second: AnyRecipe
    test: str
    test_digest: str
    beam: int
    first_lines: list[str]
    second_lines: list[str]
    references: list[str]


def compared(
    catalog: Catalog, texts: Texts, first: AnyRecipe, second: AnyRecipe, *, test: str | None = None
) -> Compared:
    """What two recipes translated on the largest test set, with the widest beam, that both were scored on.

    ``test`` takes the test set of a name. Raises IncompatibleError when the recipes are the same or have no score in
    common, UnknownNameError when they have none on a test set of this name, and InputError when text was not kept.
    """
    if first.digest == second.digest:
        raise IncompatibleError(f"both are the same model, so there is nothing to compare: {first}")
    ours, theirs = _scores(catalog, first), _scores(catalog, second)
    common = [place for place in ours if place in theirs]
    again = f"run 'continual-mt evaluate {first.pair} --test SOURCE REFERENCE --recipe RECIPE'"
    if not common:
        raise IncompatibleError(
            f"no test set was translated with the same beam by both of these; {again} for each:\n  {first}\n  {second}"
        )
    named = [place for place in common if test in (None, ours[place].test, theirs[place].test)]
    if test is not None and not named:
        raise unknown("common test set", test, (ours[place].test for place in common))
    corpora = {corpus.digest: corpus for corpus in catalog.corpora()}
    problems: list[str] = []
    for place in sorted(named, key=lambda place: (ours[place].sentences, place[1], place[0]), reverse=True):
        missing = _missing(ours[place], theirs[place], corpora.get(place[0]))
        if not missing:
            return _read(texts, (first, ours[place]), (second, theirs[place]), corpora[place[0]])
        problems += missing
    raise InputError(f"{problems[0]}, as it was scored by an older version; {again} again")


def _scores(catalog: Catalog, recipe: AnyRecipe) -> Mapping[_Place, ScoreRecord]:
    """By test set and beam; the last score whose translations were kept, else the last."""
    found: dict[_Place, ScoreRecord] = {}
    for score in catalog.scores(recipe=recipe.digest):
        place = (score.test_digest, score.beam)
        known = found.get(place)
        if known is None or score.hypotheses or not known.hypotheses:
            found[place] = score
    return found


def _missing(first: ScoreRecord, second: ScoreRecord, corpus: CorpusRecord | None) -> list[str]:
    """Return a description of each text that the comparison needs and that was not kept."""
    missing = [
        f"the translations of {score.test!r} by the recipe {score.kind} {score.pair}, beam {score.beam}, were not kept"
        for score in (first, second)
        if score.hypotheses is None
    ]
    if corpus is None or corpus.references is None:
        missing.append(f"the references of {first.test!r} were not kept")
    return missing


def _read(
    texts: Texts, first: tuple[AnyRecipe, ScoreRecord], second: tuple[AnyRecipe, ScoreRecord], corpus: CorpusRecord
) -> Compared:
    blobs = (first[1].hypotheses, second[1].hypotheses, corpus.references)
    ours, theirs, references = (texts.read(blob) if blob else [] for blob in blobs)
    score = first[1]
    return Compared(first[0], second[0], score.test, score.test_digest, score.beam, ours, theirs, references)
