"""The metrics that every evaluation computes. Separate from `metrics`, whose sacreBLEU takes long to import."""

from __future__ import annotations

from typing import Literal, get_args

MetricName = Literal["bleu", "chrf"]
"""Higher is better in all of them; forgetting, comparisons and the colours of charts rely on it."""

METRICS: tuple[MetricName, ...] = get_args(MetricName)
METRIC_LABELS: dict[str, str] = {"bleu": "BLEU", "chrf": "chrF"}
