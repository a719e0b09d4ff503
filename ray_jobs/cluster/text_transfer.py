"""Training texts from the driver to workers that cannot read them, as token ids, through the checkpoints' storage.

A worker asks for a text only if it can neither read it nor find its token ids in its own cache, so that nothing is
copied on one machine or in a common file system. What was sent stays until the training is done, for other machines and
for workers that replace lost ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ray.exceptions import RayError

from continual_mt.data.token_files import SUMMARY
from continual_mt.data.tokenized_corpus import tokens_folder
from continual_mt.errors import ContinualMTError, StorageError, TrainingError
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.planning.training_text import MixedText, TrainingText

FOLDER = "text"
POLL_SECONDS = 0.5


class TextSender:
    """The driver's end: sends the texts of a task that workers ask for."""

    def __init__(self, task: TrainingTask, checkpoints: RunCheckpoints, channel: Channel) -> None:
        self._task, self._checkpoints, self._channel = task, checkpoints, channel
        self._known: set[str] = set()

    def send(self, keys: Iterable[str]) -> None:
        """Send the texts with these keys, each once, in the background: it may take long, and other jobs train."""
        for key in keys:
            if key not in self._known:
                self._known.add(key)
                threading.Thread(target=self._send, args=(key,), daemon=True, name=f"text {key[:12]}").start()

    def delete(self) -> None:
        """Delete what was sent, as far as that can be done."""
        with suppress(OSError):
            files, run = self._checkpoints.open()
            if files.exists(f"{run}/{FOLDER}"):
                files.rm(f"{run}/{FOLDER}", recursive=True)

    def _send(self, key: str) -> None:
        with suppress(RayError):  # a lost cluster, which the main thread reports
            try:
                text = self._text(key)
                corpus = text.tokenize(self._task.cache)
                if self._upload(key):
                    size = sum(file.stat().st_size for file in tokens_folder(self._task.cache, key).iterdir())
                    self._channel.note(
                        f"the text of {text.title}, {len(corpus):,} sentence pairs, was sent to machines that cannot "
                        f"read it ({size / 1e6:,.1f} MB of token ids)"
                    )
                self._channel.sent(key)
            except ContinualMTError as error:
                self._channel.fail(error)
            except Exception as error:  # the worker that asked would wait for ever
                self._channel.fail(TrainingError(f"a text cannot be sent to workers ({type(error).__name__}: {error})"))

    def _text(self, key: str) -> TrainingText | MixedText:
        return next(text for text in self._task.texts() if text.key == key)

    def _upload(self, key: str) -> bool:
        """Whether it is there only now: an earlier driver of the same job may have sent it."""
        folder = tokens_folder(self._task.cache, key)
        place = f"{self._checkpoints.place}/{FOLDER}"
        try:
            files, run = self._checkpoints.open()
            there = f"{run}/{FOLDER}/{key}"
            if files.exists(f"{there}/{SUMMARY}"):
                return False
            files.makedirs(there, exist_ok=True)
            # The summary last: without it a text does not count.
            for file in sorted(folder.iterdir(), key=lambda file: file.name == SUMMARY):
                files.put_file(str(file), f"{there}/{file.name}")
        except OSError as error:
            raise StorageError(
                f"a text cannot be written to {place}, through which workers get it: {error.strerror or error}. "
                "Fix: free space, then start the same job again"
            ) from error
        return True


class TextReceiver:
    """A worker's end."""

    def __init__(self, checkpoints: RunCheckpoints, channel: Channel) -> None:
        self._checkpoints, self._channel = checkpoints, channel

    def fetch(self, key: str, folder: Path) -> None:
        """Ask the driver for a text, wait for it, and copy its files into a folder.

        Raises the driver's error if it cannot read the text either, and StorageError if it cannot be copied.
        """
        while not self._channel.ask_for(key):
            time.sleep(POLL_SECONDS)
        try:
            files, run = self._checkpoints.open()
            for file in files.ls(f"{run}/{FOLDER}/{key}", detail=False):
                files.get_file(file, str(folder / Path(file).name))
        except OSError as error:
            place = f"{self._checkpoints.place}/{FOLDER}"
            raise StorageError(
                f"a text cannot be copied from {place} to {folder}: {error.strerror or error}"
            ) from error
