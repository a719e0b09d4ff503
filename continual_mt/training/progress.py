"""Progress reports of a running training. A separate module, so that readers of reports need not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProgressReport:
    """The state of training, reported every few updates and after each validation.

    ``loss`` is the mean over target tokens since the last report, in nats; ``learning_rate`` the highest of all groups;
    ``development`` the development score (BLEU) if the report follows a validation, and ``best`` whether it is the
    highest so far.
    """

    update: int
    epoch: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    development: float | None = None
    best: bool = False
