"""Sample translations from the scored test sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.tables.artifacts import parts_of, points, remark
from dashboards.tables.table import Column, Table
from registry import CorpusRecord, Registry, ScoreRecord
from registry.records.samples import Sample


@dataclass(frozen=True)
class Samples:
    """Sample sentences from the largest test set for which the translations of a recipe are stored.

    ``note`` names the test set and its scores, or the reason why there are no sentences.
    """

    recipe: AnyRecipe
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
    recipe: AnyRecipe,
    scores: Sequence[ScoreRecord],
    corpora: Mapping[str, CorpusRecord],
    count: int,
) -> Samples:
    """Return at most ``count`` sentences, spread evenly over the test set; ``corpora`` maps digests to corpora.

    Raises CorruptionError if a text is damaged or missing.
    """
    kept = [
        (score, texts)
        for score in scores
        if score.recipe == recipe.digest and (texts := _texts(score, corpora)) is not None
    ]
    if not kept:
        return Samples(recipe, "No translations of this recipe are stored; 'continual-mt evaluate' stores them.")
    chosen, texts = max(kept, key=lambda found: (found[0].sentences, found[0].created))
    same_texts = [score for score, found in kept if found == texts]
    figures = ", ".join(map(_figure, same_texts))
    note = f"{chosen.test}, {chosen.sentences:,} sentences, beam {chosen.beam}: {figures}"
    return Samples(recipe, note, tuple(_spread([registry.texts.read(blob) for blob in texts], count)))


def _figure(score: ScoreRecord) -> str:
    """``chrF 55.7``, or ``off-target % 60.0 (of references 1.2), wrong language``."""
    value = f"{METRIC_LABELS.get(score.metric, score.metric)} {points(score.value)}"
    value += "" if score.reference_value is None else f" (of references {points(score.reference_value)})"
    return ", ".join(filter(None, (value, remark({score.metric: score}))))


def with_samples(scores: Sequence[ScoreRecord], corpora: Mapping[str, CorpusRecord]) -> set[str]:
    """Return the digests of the recipes that have stored translations."""
    return {score.recipe for score in scores if _texts(score, corpora) is not None}


def _texts(score: ScoreRecord, corpora: Mapping[str, CorpusRecord]) -> tuple[str, str, str] | None:
    """Return the blobs of sources, hypotheses and references; None unless all three are stored."""
    corpus = corpora.get(score.test_digest)
    if corpus is None or corpus.sources is None or corpus.references is None or score.hypotheses is None:
        return None
    return corpus.sources, score.hypotheses, corpus.references


def _spread(texts: Sequence[Sequence[str]], count: int) -> Iterator[Sample]:
    total = min(map(len, texts))
    shown = min(count, total)
    for i in range(shown):
        yield Sample(*(text[i * total // shown] for text in texts))
