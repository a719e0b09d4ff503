"""The checkpoints of a training run, in the layout that both back ends read and write.

A run is a folder ``STORAGE/NAME`` and each checkpoint a folder ``checkpoint_TIME`` in it, as Ray Train lays them out.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from continual_mt.errors import CorruptionError, StoppedError, StorageError
from continual_mt.training.checkpoint import STATE_FILE, Checkpoint

KEPT = 2
"""The number of checkpoints that a back end keeps for each run."""
_PREFIX = "checkpoint_"
# Ray Train refuses to resume a run without a checkpoint that it wrote, so each back end removes only its own.
_OWN_SUFFIX = "-in-process"


@dataclass(frozen=True)
class RunCheckpoints:
    """The checkpoints of the run ``name`` under ``storage``, a folder or a URL that Ray Train can use too."""

    storage: str
    name: str

    @property
    def place(self) -> str:
        return f"{self.storage.rstrip('/')}/{self.name}"

    def newest(self, say: Callable[[str], None] = lambda text: None) -> Checkpoint | None:
        """Return the complete checkpoint with the most updates, or None if no checkpoint is complete.

        A process that is killed while it copies a checkpoint leaves an incomplete one: it is skipped, and reported with
        ``say`` together with what is used instead. Raises StorageError if the storage cannot be read.
        """
        found = []
        with self._reading() as (filesystem, run):
            for folder in filesystem.glob(f"{run}/{_PREFIX}*"):
                if (update := _update(filesystem, folder)) is not None:
                    found.append((update, folder))
        loaded, problems = None, []
        for _, folder in sorted(found, reverse=True):
            try:
                loaded = _load(filesystem, folder)
                break
            except CorruptionError as error:
                problems.append(str(error))
        for problem in problems:
            say(f"{problem}; {'using the checkpoint before it' if loaded else 'starting at update 0'}")
        return loaded

    def update(self) -> int | None:
        """The update of the newest checkpoint, without loading it; None without a checkpoint. Raises StorageError."""
        with self._reading() as (filesystem, run):
            updates = [_update(filesystem, folder) for folder in filesystem.glob(f"{run}/{_PREFIX}*")]
        return max((update for update in updates if update is not None), default=None)

    def contents(self) -> tuple[int, float]:
        """The bytes of all its files, and when the last one was written, in seconds since 1970. Raises StorageError.

        Both are 0 if nothing exists.
        """
        with self._reading() as (filesystem, run):
            files = [file for file in filesystem.find(run, detail=True).values() if file["type"] == "file"]
        return sum(file["size"] for file in files), max((_written(file["mtime"]) for file in files), default=0.0)

    def finished(self) -> Checkpoint:
        """The newest checkpoint of a run that has ended. Raises StoppedError unless all updates are done."""
        checkpoint = self.newest()
        if checkpoint is None:
            raise StoppedError("stopped before the first update; start the same job again")
        if not checkpoint.progress.finished:
            raise StoppedError(
                f"stopped at update {checkpoint.progress.update}; a checkpoint was written: "
                "start the same job again and it continues from there"
            )
        return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and keep only the newest KEPT of those that this method wrote. Raises StorageError.

        Training on Ray saves through Ray Train instead.
        """
        name = f"{_PREFIX}{datetime.now():%Y-%m-%d_%H-%M-%S.%f}{_OWN_SUFFIX}"
        try:
            filesystem, run = self.open()
            filesystem.makedirs(run, exist_ok=True)
            if self._is_url:
                with tempfile.TemporaryDirectory() as written:
                    checkpoint.save(Path(written))
                    # The state file last: a checkpoint without it does not count.
                    for file in sorted(Path(written).iterdir(), key=lambda path: path.name == STATE_FILE):
                        filesystem.put_file(str(file), f"{run}/{name}/{file.name}")
            else:
                with tempfile.TemporaryDirectory(prefix=".writing-", dir=run) as written:
                    (whole := Path(written) / name).mkdir()
                    checkpoint.save(whole)
                    whole.rename(Path(run) / name)
            for folder in sorted(filesystem.glob(f"{run}/{_PREFIX}*{_OWN_SUFFIX}"))[:-KEPT]:
                filesystem.rm(folder, recursive=True)
        except OSError as error:
            raise StorageError(
                f"the checkpoint cannot be written to {self.place} ({error.strerror or error}); "
                "free space and start the same job again: it continues from the previous checkpoint"
            ) from error

    def delete(self) -> None:
        """Remove the run from a local folder, as far as that can be done."""
        shutil.rmtree(self.place, ignore_errors=True)

    def remove(self) -> None:
        """Remove the run and all its checkpoints, also at a URL. Raises StorageError if that fails."""
        try:
            filesystem, run = self.open()
            if filesystem.exists(run):
                filesystem.rm(run, recursive=True)
        except OSError as error:
            raise StorageError(
                f"the checkpoints in {self.place} cannot be removed: {error.strerror or error}"
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[tuple[Any, str]]:
        try:
            yield self.open()
        except (OSError, ValueError) as error:  # the latter for a kind of URL that is not supported
            reason = getattr(error, "strerror", None) or error
            raise StorageError(f"the checkpoints in {self.place} cannot be read: {reason}") from error

    @property
    def _is_url(self) -> bool:
        return "://" in self.storage

    def open(self) -> tuple[Any, str]:
        """The fsspec file system of the storage, and the run's path in it. Touches nothing."""
        if not self._is_url:
            from fsspec.implementations.local import LocalFileSystem

            return LocalFileSystem(), self.place
        # The file system that Ray Train takes for the same URL, so that both need the same settings.
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem

        filesystem, path = FileSystem.from_uri(self.storage)
        return ArrowFSWrapper(filesystem), f"{path.rstrip('/')}/{self.name}"


def _update(filesystem: Any, folder: str) -> int | None:
    """The update at which a checkpoint was written; None for one whose state file is missing or damaged."""
    try:
        return int(json.loads(filesystem.cat_file(f"{folder}/{STATE_FILE}"))["update"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _written(moment: datetime | float) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else moment


def _load(filesystem: Any, folder: str) -> Checkpoint:
    if Path(folder).is_dir():
        return Checkpoint.load(Path(folder))
    with tempfile.TemporaryDirectory() as copied:
        for file in filesystem.ls(folder, detail=False):
            filesystem.get_file(file, str(Path(copied) / Path(file).name))
        return Checkpoint.load(Path(copied))
