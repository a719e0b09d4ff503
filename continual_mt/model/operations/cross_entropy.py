"""Linear layer and label-smoothed cross-entropy in one operation.

The loss and the gradient of the logits are computed for a chunk of rows at a time, while these are in the processor's
cache, and the gradient overwrites the logits. PyTorch's separate operations write and read all logits several times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK_ROWS = {"cpu": 256, "cuda": 4096}
"""Rows per chunk, by type of device."""


def linear_cross_entropy(states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Return the summed cross-entropy, in nats, of the logits ``states`` · ``embedding``ᵀ + ``bias``.

    Args:
        states: (rows, width), in float32 or bfloat16; the products are computed in this dtype.
        embedding: (vocabulary, width).
        bias: (vocabulary,).
        labels: (labels,), at most as many as rows. Rows after the last label are padding and are ignored.
        smoothing: the probability mass that label smoothing distributes over the vocabulary (Szegedy et al., 2016).

    Returns:
        A float32 scalar. It can be differentiated once, with respect to ``states``, ``embedding`` and ``bias``.
    """
    loss: Tensor = _LinearCrossEntropy.apply(states, embedding, bias, labels, smoothing)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes the gradients in the forward pass, where the logits are at hand; the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, embedding: Tensor, bias: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        table, offset = embedding.to(states.dtype), bias.to(states.dtype)
        for_states, for_embedding, for_bias = ctx.needs_input_grad[:3]
        needs_gradient = for_states or for_embedding or for_bias
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32)
        padded_labels = functional.pad(labels, (0, len(states) - len(labels)))[:, None]
        # By linearity, the mean of a row's logits is the product with the mean embedding.
        means = states.float() @ table.float().mean(0) + offset.float().mean()
        logits = functional.linear(states, table, offset)
        losses = []
        for first in range(0, len(states), chunk := CHUNK_ROWS[states.device.type]):
            rows, label_count = slice(first, first + chunk), max(0, len(labels) - first)
            # In place from here on: a float32 chunk is a view of the logits.
            chunk_logits = logits[rows].float()
            maximum = chunk_logits.amax(1, keepdim=True)
            expected = (1 - smoothing) * chunk_logits.gather(1, padded_labels[rows]) + smoothing * means[rows, None]
            exponentials = chunk_logits.sub_(maximum).exp_()
            total = exponentials.sum(1, keepdim=True)
            losses.append((maximum + total.log() - expected)[:label_count].sum())
            if needs_gradient:
                gradient = exponentials.mul_(total.reciprocal()).sub_(smoothing / len(table))
                gradient.scatter_add_(1, padded_labels[rows], torch.full_like(total, smoothing - 1))
                gradient[label_count:] = 0
                bias_gradient += gradient.sum(0)
                if gradient.dtype != logits.dtype:
                    logits[rows] = gradient
        if needs_gradient:
            logits_gradient = logits  # the loop has overwritten them
            ctx.save_for_backward(
                logits_gradient @ table if for_states else None,
                # Of the two factors, the smaller one is transposed: the product copies it to make it contiguous.
                (states.T @ logits_gradient).T.to(embedding.dtype) if for_embedding else None,
                bias_gradient.to(bias.dtype) if for_bias else None,
            )
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        saved = (None if tensor is None else tensor * scale for tensor in ctx.saved_tensors)
        return (*saved, None, None)
