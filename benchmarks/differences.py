"""Why two searches of one model answered differently: every such sentence is put under one heading."""

from __future__ import annotations

from collections import Counter

import torch

from continual_mt.data.batching import pad
from continual_mt.inference.torch_model import PairModel

TIE = 1e-4
"""Nats a token by which two answers may differ and still be a matter of rounding."""


def explain_differences(
    model: PairModel, sources: list[list[int]], ours: list[list[int]], theirs: list[list[int]]
) -> dict[str, int]:
    """How many sentences differ, and why, by the length-normalised score that the model itself gives both answers."""
    reasons: Counter[str] = Counter()
    for source, our_tokens, their_tokens in zip(sources, ours, theirs, strict=True):
        if our_tokens == their_tokens:
            continue
        # Their limit is that of a batch's longest sentence, so theirs may be longer.
        limit = min(2 * (len(source) + 1) + 20, model.maximum_tokens)
        if len(our_tokens) >= limit:
            reasons["ours is cut at its limit of length"] += 1
            continue
        difference = score(model, source, our_tokens) - score(model, source, their_tokens)
        if abs(difference) < TIE:
            reasons["a tie, by rounding"] += 1
        else:
            reasons["ours scores better" if difference > 0 else "theirs scores better"] += 1
    return dict(reasons)


@torch.inference_mode()
def score(model: PairModel, source: list[int], target: list[int]) -> float:
    """Log-probability a token, in nats, of an answer that ended."""
    tokens, lengths = pad([[*source, model.source.tokenizer.end]], model.source.tokenizer.pad)
    inputs, labels = [model.target.tokenizer.start, *target], [*target, model.target.tokenizer.end]
    logits = model.transformer(tokens, lengths, torch.tensor([inputs]))[0]
    chosen = logits.log_softmax(-1)[torch.arange(len(labels)), torch.tensor(labels)]
    return float(chosen.mean())
