"""The record of a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.language_identification import is_wrong_language
from continual_mt.languages import Pair
from registry.records.recipes import RecipeRecord
from registry.records.values import JSONObject, now


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """Recipe × test set × metric. ``metric`` is in small letters: ``bleu``, ``chrf``, ``chrfpp``, ``offtarget``.

    ``recipe`` is the recipe's digest; ``copy_value`` is the same metric when the source is copied unchanged;
    ``source``, ``cross_attention`` and ``target`` name the recipe's modules, None for the parent's own piece.
    ``hypotheses`` is the blob of the translations that were scored, one sentence per line. ``logits`` is the digest of
    the logits of up to 200 sentences of the test set, computed with the recipe, and ``computed_on`` the machine and the
    versions that computed it, or the translations of a pivot; both are None if they were not recorded.
    ``reference_value`` is the off-target rate of the references, None in other metrics.

    ``legs`` are the two recipes that a pivot chains. Its own modules and ``logits`` are None, and its ``parent`` is
    that of the first leg.
    """

    parent: str
    kind: RecipeKind
    pair: Pair
    recipe: str
    source: str | None
    cross_attention: str | None
    target: str | None
    test: str
    test_digest: str
    metric: str
    value: float
    copy_value: float | None
    signature: str
    sentences: int
    beam: int
    hypotheses: str | None = None
    logits: str | None = None
    computed_on: str | None = None
    created: datetime = field(default_factory=now)
    reference_value: float | None = None
    legs: tuple[RecipeRecord, ...] = ()

    @property
    def is_wrong_language(self) -> bool:
        """Whether this is an off-target rate well above that of the references."""
        return self.metric == "offtarget" and is_wrong_language(self.value, self.reference_value, self.sentences)

    @classmethod
    def of(
        cls,
        recipe: AnyRecipe,
        *,
        test: str,
        test_digest: str,
        metric: str,
        value: float,
        copy_value: float | None,
        signature: str,
        sentences: int,
        beam: int,
        hypotheses: str | None = None,
        logits: str | None = None,
        computed_on: str | None = None,
        reference_value: float | None = None,
    ) -> ScoreRecord:
        """The score that a recipe reached on a test set."""
        record = RecipeRecord.of(recipe)
        return cls(
            parent=record.parent,
            kind=record.kind,
            pair=record.pair,
            recipe=record.digest,
            source=record.source,
            cross_attention=record.cross_attention,
            target=record.target,
            legs=record.legs,
            test=test,
            test_digest=test_digest,
            metric=metric,
            value=value,
            copy_value=copy_value,
            signature=signature,
            sentences=sentences,
            beam=beam,
            hypotheses=hypotheses,
            logits=logits,
            computed_on=computed_on,
            reference_value=reference_value,
        )

    @property
    def scored(self) -> RecipeRecord:
        """The recipe that was scored."""
        parts = self.source, self.cross_attention, self.target
        return RecipeRecord(self.parent, self.kind, self.pair, self.recipe, *parts, legs=self.legs)

    def to_json(self) -> JSONObject:
        return {
            "parent": self.parent,
            "kind": self.kind,
            "pair": str(self.pair),
            "recipe": self.recipe,
            "source": self.source,
            "cross_attention": self.cross_attention,
            "target": self.target,
            "test": self.test,
            "test_digest": self.test_digest,
            "metric": self.metric,
            "value": self.value,
            "copy_value": self.copy_value,
            "signature": self.signature,
            "sentences": self.sentences,
            "beam": self.beam,
            "hypotheses": self.hypotheses,
            "logits": self.logits,
            "computed_on": self.computed_on,
            "created": self.created.isoformat(),
            "reference_value": self.reference_value,
            **({"models": len(self.legs), "legs": [leg.to_json() for leg in self.legs]} if self.legs else {}),
        }


class ListedScore(NamedTuple):
    """A score of the translations with which a recipe is listed: as much of it as ten thousand pairs are shown with.

    The fields are those of `ScoreRecord`.
    """

    recipe: str
    test_digest: str
    beam: int
    metric: str
    value: float
    reference_value: float | None
    sentences: int

    @property
    def is_wrong_language(self) -> bool:
        """Whether this is an off-target rate well above that of the references."""
        return self.metric == "offtarget" and is_wrong_language(self.value, self.reference_value, self.sentences)
