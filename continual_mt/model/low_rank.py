"""Low-rank updates of matrices (Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022).

The update of a matrix W (out, in) is ALPHA / rank · B · A: its factors are A (rank, in), which is stored as ``lora_a``
beside W, and B (out, rank), ``lora_b``. A starts at random and B at zero, so that training begins at W. W, its bias and
the layer norms stay frozen, as in the paper and in PEFT's default.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

FACTORS = ("lora_a", "lora_b")
ALPHA = 16.0
"""Hu et al. keep alpha constant when the rank changes, so that the rates need not change with it."""


def low_rank_product(rows: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Multiply rows (…, in) with the update of the factors: (…, out), in the dtype of the rows."""
    inner = functional.linear(rows, a.to(rows.dtype))
    return functional.linear(inner, b.to(rows.dtype)) * (ALPHA / len(a))


def merged(tensors: Mapping[str, Tensor], originals: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` with the updated matrices in place of their factors.

    Tensors are keyed by full name. ``originals`` has the matrices that are updated; they are not changed.
    """
    result = {name: tensor for name, tensor in tensors.items() if not name.endswith(FACTORS)}
    for name, a in tensors.items():
        layer, _, part = name.rpartition(".")
        if part == "lora_a":
            update = tensors[f"{layer}.lora_b"] @ a * (ALPHA / len(a))
            result[f"{layer}.weight"] = originals[f"{layer}.weight"] + update
    return result
