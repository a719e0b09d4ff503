"""Classifying why two searches of the same model gave different translations."""

from __future__ import annotations

from collections import Counter

import torch

from continual_mt.data.batching import pad
from continual_mt.inference.torch_model import PairModel

TIE = 1e-4
"""Score differences below this, in nats per token, count as rounding error."""


def explain_differences(
    model: PairModel, sources: list[list[int]], ours: list[list[int]], theirs: list[list[int]]
) -> dict[str, int]:
    """Count the sentences that differ by reason, judged by the model's own length-normalised scores of both outputs."""
    reasons: Counter[str] = Counter()
    for source, our_tokens, their_tokens in zip(sources, ours, theirs, strict=True):
        if our_tokens == their_tokens:
            continue
        # The other search limits a whole batch by its longest source, so its output may be longer.
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
    """Return the log-probability per token, in nats, of an output that ended, end token included."""
    tokens, lengths = pad([[*source, model.source.tokenizer.end]], model.source.tokenizer.pad)
    inputs, labels = [model.target.tokenizer.start, *target], [*target, model.target.tokenizer.end]
    logits = model.transformer(tokens, lengths, torch.tensor([inputs]))[0]
    chosen = logits.log_softmax(-1)[torch.arange(len(labels)), torch.tensor(labels)]
    return float(chosen.mean())
