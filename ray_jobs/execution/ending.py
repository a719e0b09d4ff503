"""How a training ended: at its limit, or because its development score no longer rose."""

from __future__ import annotations

from dataclasses import dataclass

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.training.checkpoint import Progress
from registry.records.values import JSONObject


@dataclass(frozen=True)
class Ending:
    """The last progress of a finished training, with its settings."""

    progress: Progress
    settings: TrainingSettings

    @property
    def at_limit(self) -> bool:
        """Whether the limit of updates ended it, and not patience: more updates might have given a better model."""
        return not 0 < self.settings.patience <= self.progress.validations_without_gain

    @property
    def was_rising(self) -> bool:
        """Whether the last of several development scores was the best; False for a single one."""
        return self.progress.validations_without_gain == 0 and self.progress.update > self.settings.validate_every

    def lines(self) -> list[str]:
        """Return what a user should know of it: nothing of a training without updates."""
        progress = self.progress
        if progress.best_score is None:
            return []
        best = f"the best development score, BLEU {progress.best_score:.1f}, is that of update {progress.best_update:,}"
        if not self.at_limit:
            return [f"ended after {progress.update:,} updates, since the score no longer rose; {best}"]
        advice = ""
        if self.was_rising:
            advice = ": it was still rising, so more updates (training.updates) may give a better model"
        return [f"ended at its limit of {self.settings.updates:,} updates; {best}{advice}"]

    def to_json(self) -> JSONObject:
        return {
            "updates": self.progress.update,
            "at_limit": self.at_limit,
            "best_update": self.progress.best_update,
            "development_bleu": self.progress.best_score,
        }
