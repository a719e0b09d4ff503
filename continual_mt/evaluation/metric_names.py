"""The metrics that every evaluation computes. Separate from `metrics`, whose sacreBLEU takes long to import."""

from __future__ import annotations

from typing import Literal, get_args

QualityMetric = Literal["bleu", "chrf", "chrfpp"]
"""Higher is better. Only these measure forgetting and transfer."""

MetricName = Literal[QualityMetric, "offtarget"]
"""``offtarget`` is the share of translations in another language than the target's: lower is better."""

QUALITY_METRICS: tuple[QualityMetric, ...] = get_args(QualityMetric)
METRICS: tuple[MetricName, ...] = get_args(MetricName)
METRIC_LABELS: dict[str, str] = {"bleu": "BLEU", "chrf": "chrF", "chrfpp": "chrF++", "offtarget": "off-target %"}


def is_higher_better(metric: str) -> bool:
    """Return the direction of a metric; unknown metrics, which a registry may store, are taken for scores."""
    return metric != "offtarget"
