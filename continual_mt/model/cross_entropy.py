"""Label-smoothed cross-entropy of a projection onto a vocabulary, without ever holding all of its logits.

Logits are made for some rows at a time and turned into their own gradient while they are in the processor's cache; the
stock way writes and reads them, in float32, half a dozen times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK_ROWS = {"cpu": 256, "cuda": 4096}


def linear_cross_entropy(states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Summed loss, in nats, of ``labels`` under the softmax of ``states`` (rows, width) × ``embedding`` + bias.

    There may be fewer labels than rows: what is behind them is filler, and has no part in the loss. ``smoothing`` is
    the share of a label's weight that is spread over the whole vocabulary (Szegedy et al., 2016).
    """
    loss: Tensor = _LinearCrossEntropy.apply(states, embedding, bias, labels, smoothing)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """The loss is the last thing computed, so its gradient is made along with it, and only scaled afterwards."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        table, offset = embedding.to(states.dtype), bias.to(states.dtype)
        of_states, of_embedding, of_bias = ctx.needs_input_grad[:3]
        wanted = of_states or of_embedding or of_bias
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32)
        right = functional.pad(labels, (0, len(states) - len(labels)))[:, None]
        # The mean of a row's logits is the logit of the mean type.
        means = states.float() @ table.float().mean(0) + offset.float().mean()
        # Logits at first, their gradient at last.
        of_logits = functional.linear(states, table, offset)
        losses = []
        for first in range(0, len(states), chunk := CHUNK_ROWS[states.device.type]):
            rows, real = slice(first, first + chunk), max(0, len(labels) - first)
            shares = of_logits[rows].float()  # in float32 the very same
            highest = shares.amax(1, keepdim=True)
            expected = (1 - smoothing) * shares.gather(1, right[rows]) + smoothing * means[rows, None]
            total = shares.sub_(highest).exp_().sum(1, keepdim=True)
            losses.append((highest + total.log() - expected)[:real].sum())
            if wanted:
                gradient = shares.mul_(total.reciprocal()).sub_(smoothing / len(table))
                gradient.scatter_add_(1, right[rows], torch.full_like(total, smoothing - 1))
                gradient[real:] = 0
                bias_gradient += gradient.sum(0)
                if gradient.dtype != of_logits.dtype:
                    of_logits[rows] = gradient
        if wanted:
            ctx.save_for_backward(
                of_logits @ table if of_states else None,
                # The smaller of the two is the one that has to be laid out anew.
                (states.T @ of_logits).T.to(embedding.dtype) if of_embedding else None,
                bias_gradient.to(bias.dtype) if of_bias else None,
            )
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        saved = (None if tensor is None else tensor * scale for tensor in ctx.saved_tensors)
        return (*saved, None, None)
