"""Dropout with cheap randomness: one random byte decides each value.

On CPUs the stock dropout spends most of its time on a full random number a value. A byte gives rates in steps of
1/256: 0.1 becomes 26/256, and what is kept is scaled by the exact inverse.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dropout(values: Tensor, rate: float) -> Tensor:
    """Zero a share ``rate`` of ``values`` and scale the rest; the identity where the rate is 0."""
    # At least one byte in 256 is kept, so that there is something to scale.
    dropped = min(255, round(rate * 256))
    if dropped == 0:
        return values
    if values.is_cuda:
        return torch.dropout(values, rate, True)
    words = torch.randint(-(2**63), 2**63 - 1, (values.numel() // 8 + 1,))
    kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
    return values * (kept.to(values.dtype) * (256 / (256 - dropped)))
