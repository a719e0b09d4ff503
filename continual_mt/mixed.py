"""The public import path of batches of many pairs, which are in `continual_mt.inference.mixed_batches`."""

from continual_mt.inference.mixed_batches import Request, translate_mixed

__all__ = ["Request", "translate_mixed"]
