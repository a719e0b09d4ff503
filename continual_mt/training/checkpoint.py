"""Checkpoints of a training run. A run that resumes from one gives the same bits as an uninterrupted run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
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
        """Read a checkpoint. Raises CorruptionError if a file is missing or damaged, or does not match the others.

        The Trainer checks whether the trained tensors are those of its run.
        """
        try:
            progress = _progress(json.loads((folder / STATE_FILE).read_text()))
            files = {name: load_file(folder / f"{name}.safetensors") for name in TENSOR_FILES}
            checkpoint = cls(progress, **files)
            checkpoint._check()
        except (OSError, ValueError, SafetensorError) as error:
            raise CorruptionError(f"checkpoint {folder}: cannot be read ({error})") from error
        return checkpoint

    def _check(self) -> None:
        """Raise ValueError for tensors that do not belong to ``trained``, and generators that cannot be restored."""
        if self.best or self.progress.finished or self.progress.best_score is not None:
            _check_shapes("best", self.best, self.trained)
        with_moments = {key.rpartition("/")[0] for key in self.optimizer} & self.trained.keys()
        moments = {f"{name}/{moment}": self.trained[name] for name in with_moments for moment in ("first", "second")}
        _check_shapes("optimizer", self.optimizer, moments)
        ranks = [str(rank) for rank in range(max(1, len(self.generators)))]
        if set(self.generators) != set(ranks):
            raise ValueError(f"generators: the workers are {sorted(self.generators)}; expected {ranks}")
        for rank, state in self.generators.items():
            try:
                # A state of the CPU's generator; that of a GPU follows it.
                torch.Generator().set_state(state[: len(torch.get_rng_state())])
            except (RuntimeError, TypeError, IndexError) as error:
                raise ValueError(f"generators: '{rank}' is not the state of a generator") from error


def _progress(state: object) -> Progress:
    """The counters in the content of a state file. Raises ValueError if it cannot be of this version."""
    if not isinstance(state, dict):
        raise ValueError(f"{STATE_FILE} holds {json.dumps(state)}; expected an object")
    for key, value in state.items():
        if key not in Progress.__dataclass_fields__:
            raise ValueError(f"unknown key '{key}': written by a newer version?")
        # By type, because a bool is an int too.
        if key == "finished":
            valid, expected = type(value) is bool, "true or false"
        elif key == "best_score":
            valid = value is None or (type(value) in (int, float) and math.isfinite(value))
            expected = "a finite number or null"
        else:
            valid, expected = type(value) is int and value >= 0, "a whole number from 0"
        if not valid:
            raise ValueError(f"{key} is {json.dumps(value)}; expected {expected}")
    return Progress(**state)


def _check_shapes(kind: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless ``tensors`` have the names and shapes of those ``expected``."""
    for name in sorted(tensors.keys() | expected.keys()):
        if name not in tensors:
            raise ValueError(f"{kind}: '{name}' is missing")
        if name not in expected:
            raise ValueError(f"{kind}: '{name}' belongs to no trained tensor")
        shape, wanted = list(tensors[name].shape), list(expected[name].shape)
        if shape != wanted:
            raise ValueError(f"{kind}: '{name}' has shape {shape}; expected {wanted}")
