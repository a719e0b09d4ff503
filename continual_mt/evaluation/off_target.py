"""The off-target rate as one of sacreBLEU's metrics, so that it is computed, signed and compared as BLEU is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.base import Metric, Score, Signature

from continual_mt.evaluation.language_identification import are_off_target, signature


class OffTargetSignature(Signature):
    """The library that identified the languages, its version, and the languages that it knows."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)
        self.info.update(signature())


class OffTarget(Metric):
    """The percentage of translations in another language than ``language`` (Zhang et al., ACL 2020); lower is better.

    References are not used, and case is not changed. Raises LanguageError where the language is not known.
    """

    _SIGNATURE_TYPE = OffTargetSignature

    def __init__(self, language: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.language = language

    def _preprocess_segment(self, sent: str) -> str:
        return sent

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        return {}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[int]:
        return [*map(int, are_off_target([hypothesis], self.language)), 1]

    def _compute_score_from_stats(self, stats: Any) -> Score:
        wrong, lines = stats
        return Score("off-target", float(100 * wrong / lines))

    def _aggregate_and_compute(self, stats: list[list[int]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])
