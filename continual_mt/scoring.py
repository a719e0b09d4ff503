"""The public import path of BLEU and chrF, which are in `continual_mt.evaluation.metrics`."""

from continual_mt.evaluation.metrics import MetricValue, bleu, score

__all__ = ["MetricValue", "bleu", "score"]
