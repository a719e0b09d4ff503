"""The public import path of the metrics, which are in `continual_mt.evaluation.metrics`."""

from continual_mt.evaluation.metrics import MetricValue, bleu, score

__all__ = ["MetricValue", "bleu", "score"]
