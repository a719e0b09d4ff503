"""Sample translations from the text that scores rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from continual_mt.artifacts.recipe import Recipe
from dashboards.tables.artifacts import METRICS, parts_of, points
from dashboards.tables.table import Column, Table
from registry import CorpusRecord, Registry, ScoreRecord
from registry.records.samples import Sample


@dataclass(frozen=True)
class Samples:
    """Sentences of the largest test set whose translations by a recipe were kept; ``note`` says which, or why none."""

    recipe: Recipe
    note: str
    sentences: tuple[Sample, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.recipe.pair} {self.recipe.kind}: {parts_of(self.recipe)}"

    @property
    def table(self) -> Table:
        columns = [Column("source"), Column("hypothesis"), Column("reference")]
        return Table(columns, [(sample.source, sample.hypothesis, sample.reference) for sample in self.sentences])


def samples_of(
    registry: Registry,
    recipe: Recipe,
    scores: Sequence[ScoreRecord],
    corpora: Mapping[str, CorpusRecord],
    count: int,
) -> Samples:
    """At most ``count`` sentences, spread evenly over the test set. ``corpora`` are found by their digest.

    Raises CorruptionError for text that is damaged or missing.
    """
    kept = [
        (score, texts)
        for score in scores
        if score.recipe == recipe.digest and (texts := _texts(score, corpora)) is not None
    ]
    if not kept:
        return Samples(recipe, "No translations were kept for this recipe; scoring it keeps them.")
    chosen, texts = max(kept, key=lambda found: (found[0].sentences, found[0].created))
    alike = [score for score, found in kept if found == texts]
    figures = ", ".join(f"{METRICS.get(score.metric, score.metric)} {points(score.value)}" for score in alike)
    note = f"{chosen.test}, {chosen.sentences:,} sentences, beam {chosen.beam}: {figures}"
    return Samples(recipe, note, tuple(_spread([registry.lines(blob) for blob in texts], count)))


def with_samples(scores: Sequence[ScoreRecord], corpora: Mapping[str, CorpusRecord]) -> set[str]:
    """The digests of the recipes that samples can be shown of."""
    return {score.recipe for score in scores if _texts(score, corpora) is not None}


def _texts(score: ScoreRecord, corpora: Mapping[str, CorpusRecord]) -> tuple[str, str, str] | None:
    """The blobs of sources, hypotheses and references; None unless all three were kept."""
    corpus = corpora.get(score.test_digest)
    if corpus is None or corpus.sources is None or corpus.references is None or score.hypotheses is None:
        return None
    return corpus.sources, score.hypotheses, corpus.references


def _spread(texts: Sequence[Sequence[str]], count: int) -> Iterator[Sample]:
    total = min(map(len, texts))
    wanted = min(count, total)
    for i in range(wanted):
        yield Sample(*(text[i * total // wanted] for text in texts))
