"""A training run on disk: everything that a killed run needs to go on exactly as if it had not been killed."""

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
    """Where a run stands. ``epoch`` and ``consumed`` are the place in the batch order."""

    update: int = 0
    epoch: int = 0
    consumed: int = 0
    best_score: float | None = None
    best_update: int = 0
    validations_without_gain: int = 0
    finished: bool = False


@dataclass
class Checkpoint:
    """``trained`` are the current parameters, ``best`` those with the best development score (empty before the first).

    ``optimizer`` holds ``NAME/first`` and ``NAME/second`` moments; ``generators`` the states of every worker's random
    number generators. The optimizer's step count is ``progress.update``.
    """

    progress: Progress
    trained: Mapping[str, Tensor]
    best: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: Mapping[str, Tensor] = field(default_factory=dict)
    generators: Mapping[str, Tensor] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write into an existing folder, the state file last. Raises StorageError naming the folder."""
        try:
            for name in TENSOR_FILES:
                members = {key: tensor.detach().cpu().contiguous() for key, tensor in getattr(self, name).items()}
                save_file(members, folder / f"{name}.safetensors")
            (folder / STATE_FILE).write_text(json.dumps(asdict(self.progress)))
        except (OSError, SafetensorError) as error:
            raise StorageError(
                f"the checkpoint could not be written to {folder} ({error}); "
                "make room and start the same job again: it goes on from the checkpoint before"
            ) from error

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Raises CorruptionError naming the folder when a file is missing or damaged."""
        try:
            progress = Progress(**json.loads((folder / STATE_FILE).read_text()))
            files = {name: load_file(folder / f"{name}.safetensors") for name in TENSOR_FILES}
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise CorruptionError(
                f"the checkpoint in {folder} cannot be read ({error}); remove that folder to start the job anew"
            ) from error
        return cls(progress, **files)
