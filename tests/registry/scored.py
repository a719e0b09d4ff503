"""Recipes with scores whose translations are kept, for the tests of what depends on them."""

from __future__ import annotations

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.evaluation.metrics import bleu
from registry import CorpusRecord, Registry, ScoreRecord

SENTENCES = 40
REFERENCES = [f"the sentence number {number} of this text" for number in range(SENTENCES)]


def score(
    registry: Registry, recipe: AnyRecipe, right: int, test: str = "flickr", *, beam: int = 5, keep: bool = True
) -> float:
    """Score a recipe that translates the first ``right`` of SENTENCES as the reference does; returns its BLEU."""
    lines = [line if number < right else f"another {number} again" for number, line in enumerate(REFERENCES)]
    references = registry.texts.store(REFERENCES)
    digest = f"{test}{recipe.pair}".encode().hex().ljust(64, "0")[:64]
    corpus = CorpusRecord(digest, recipe.pair, test, SENTENCES, 0, "CC0", references, references)
    registry.register_corpus(corpus)
    value = bleu(lines, REFERENCES, recipe.pair.target)
    measured = {"metric": "bleu", "value": value, "copy_value": None, "signature": "nrefs:1"}
    kept = registry.texts.store(lines) if keep else None
    score = ScoreRecord.of(
        recipe,
        test=test,
        test_digest=digest,
        sentences=SENTENCES,
        beam=beam,
        hypotheses=kept,
        **measured,  # type: ignore[arg-type]
    )
    registry.register_scores([score])
    return value
