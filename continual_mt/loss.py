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

CHUNK_ROWS = {"cpu": 128, "cuda": 4096}


def projected_loss(states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Summed loss, in nats, of ``labels`` (rows,) under the softmax of ``states`` (rows, width) × ``embedding`` + bias.

    ``smoothing`` is the share of a label's weight that is spread over the whole vocabulary (Szegedy et al., 2016).
    """
    loss: Tensor = _ProjectedLoss.apply(states, embedding, bias, labels, smoothing)  # type: ignore[no-untyped-call]
    return loss


class _ProjectedLoss(torch.autograd.Function):
    """The loss is the last thing computed, so its gradient is made along with it, and only scaled afterwards."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        dtype = states.dtype
        table, offset = embedding.to(dtype), bias.to(dtype)
        vocabulary = len(table)
        wanted = any(ctx.needs_input_grad)
        gradients = states.new_empty(len(states), vocabulary) if wanted else None
        losses = []
        chunk = CHUNK_ROWS.get(states.device.type, CHUNK_ROWS["cpu"])
        for first in range(0, len(states), chunk):
            rows = slice(first, first + chunk)
            chosen = labels[rows, None]
            logits = functional.linear(states[rows], table, offset).float()
            normaliser = logits.logsumexp(1, keepdim=True)
            expected = (1 - smoothing) * logits.gather(1, chosen) + smoothing * logits.mean(1, keepdim=True)
            losses.append((normaliser - expected).sum())
            if gradients is not None:
                gradient = logits.sub_(normaliser).exp_().sub_(smoothing / vocabulary)
                gradient.scatter_add_(1, chosen, torch.full_like(normaliser, smoothing - 1))
                gradients[rows] = gradient
        if gradients is not None:
            of_states, of_embedding, of_bias = ctx.needs_input_grad[:3]
            ctx.save_for_backward(
                gradients @ table if of_states else None,
                (gradients.T @ states).to(embedding.dtype) if of_embedding else None,
                gradients.sum(0, dtype=torch.float32).to(bias.dtype) if of_bias else None,
            )
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        saved = (None if tensor is None else tensor * scale for tensor in ctx.saved_tensors)
        return (*saved, None, None)
