"""Checkpoints of a training run. A run that resumes from one gives the same bits as an uninterrupted run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from continual_mt.errors import CorruptionError, StorageError

STATE_FILE = "state.json"
TENSOR_FILES = ("trained", "best", "optimizer", "generators")


@dataclass
class Progress:
    """The counters of a run.

    ``epoch`` and ``consumed`` (batches taken in that epoch) are the position in the batch order. ``best_score`` is the
    highest development score so far (None before the first validation), reached at update ``best_update``.
    """

    update: int = 0
    epoch: int = 0
    consumed: int = 0
    best_score: float | None = None
    best_update: int = 0
    validations_without_gain: int = 0
    finished: bool = False


@dataclass
class Checkpoint:
    """The state of a run between two updates. All tensors are keyed by full parameter name unless stated otherwise.

    ``trained`` holds the current parameters, ``best`` those with the best development score (empty before the first
    validation). ``optimizer`` holds Adam's moments as ``NAME/first`` and ``NAME/second``; its step count is
    ``progress.update``. ``generators`` maps each worker's rank to the state of its random number generators.
    """

    progress: Progress
    trained: Mapping[str, Tensor]
    best: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    generators: Mapping[str, Tensor] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write into an existing folder, the state file last. Raises StorageError if a file cannot be written."""
        try:
            for name in TENSOR_FILES:
                members = {key: tensor.detach().cpu().contiguous() for key, tensor in getattr(self, name).items()}
                save_file(members, folder / f"{name}.safetensors")
            (folder / STATE_FILE).write_text(json.dumps(asdict(self.progress)))
        except (OSError, SafetensorError) as error:
            raise StorageError(
                f"checkpoint {folder}: cannot be written ({error}). "
                "Fix: free disk space and start the same job again; it resumes from the previous checkpoint"
            ) from error

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read a checkpoint. Raises CorruptionError if a file is missing or damaged."""
        try:
            progress = Progress(**json.loads((folder / STATE_FILE).read_text()))
            files = {name: load_file(folder / f"{name}.safetensors") for name in TENSOR_FILES}
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise CorruptionError(f"checkpoint {folder}: cannot be read ({error})") from error
        return cls(progress, **files)
