"""What training says of itself while it runs. Apart from training, so that who only listens need not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressReport:
    """What training says of itself: every few updates, and with ``development`` (BLEU) after a validation."""

    update: int
    epoch: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    development: float | None = None
    best: bool = False
