"""A bounded local cache in front of blobs that lie elsewhere."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from continual_mt.errors import CorruptionError, StorageError
from continual_mt.home import CACHE_VARIABLE
from registry.blobs.arrival import note_arrival
from registry.blobs.local import FolderStore
from registry.blobs.store import (
    FAN_OUT,
    BlobStore,
    Check,
    Chunks,
    HashedChunks,
    Leftover,
    StoredBlob,
    StoredContent,
    no_check,
)

_WHOLE = "cache"
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class CachedStore(BlobStore):
    """Reads each blob of ``origin`` once and keeps it in ``kept``, never more than ``bound`` bytes in all.

    What was not read for longest is dropped first. Processes may share the folder: one of them fetches a blob while
    the others wait for it. What is kept is checked as `FolderStore` does, and fetched again when it is damaged.
    """

    origin: BlobStore
    kept: FolderStore
    bound: int

    @property
    def place(self) -> str:
        return self.origin.place

    @property
    def is_local(self) -> bool:
        return self.origin.is_local

    def keeping_in(self, place: Callable[[Path], Path]) -> BlobStore:
        return replace(self, kept=FolderStore(place(self.kept.folder)))

    def put(self, content: bytes) -> str:
        return self.origin.put(content)

    def put_chunks(self, chunks: Chunks, check: Check = no_check) -> StoredContent:
        return self.origin.put_chunks(chunks, check)

    def get(self, digest: str) -> bytes:
        if (content := self._found(digest)) is not None:
            return content
        with self._locked(digest[:FAN_OUT]):
            if (content := self._found(digest)) is None:
                content = self.origin.get(digest)
                self._keep(content, digest)
        return content

    def file(self, digest: str) -> BinaryIO:
        if (file := self._found_file(digest)) is not None:
            return file
        with self._locked(digest[:FAN_OUT]):
            if (file := self._found_file(digest)) is not None:
                return file
            size = self.origin.size(digest)
            if size > self.bound:
                return self.origin.file(digest)
            with self._keeping(digest, size):
                self.kept.receive(HashedChunks(self.origin.chunks(digest)), self.origin.check(digest))
                note_arrival(self.kept.path(digest))
                # Before others may drop it again.
                return self.kept.file(digest)

    def location(self, digest: str) -> str:
        return self.origin.location(digest)

    def digests(self) -> Iterator[StoredBlob]:
        return self.origin.digests()

    def size(self, digest: str) -> int:
        return self.origin.size(digest)

    def chunks(self, digest: str) -> Iterator[bytes]:
        return self.origin.chunks(digest)

    def remove(self, digest: str) -> None:
        self.origin.remove(digest)
        self.kept.remove(digest)

    def forget_arrival(self, digest: str) -> None:
        self.origin.forget_arrival(digest)

    def quarantine(self, digest: str) -> str:
        return self.origin.quarantine(digest)

    def set_aside(self, digest: str) -> str | None:
        return self.origin.set_aside(digest)

    def claimants(self) -> Mapping[str, str]:
        return self.origin.claimants()

    def claim(self, identity: str, name: str) -> None:
        self.origin.claim(identity, name)

    def leftovers(self) -> Iterator[Leftover]:
        return self.origin.leftovers()

    def remove_leftover(self, leftover: Leftover) -> None:
        self.origin.remove_leftover(leftover)

    def drop_damaged_copies(self) -> int:
        dropped = 0
        for blob in list(self.kept.digests()):
            if self._is_damaged(blob.digest):
                with self._locked(_WHOLE):
                    if self._is_damaged(blob.digest):  # not exchanged meanwhile
                        self.kept.remove(blob.digest)
                        dropped += 1
        return dropped

    def _is_damaged(self, digest: str) -> bool:
        """Return whether the copy of a blob has other bytes or cannot be read; False if it is missing."""
        hashed = HashedChunks(self.kept.chunks(digest))
        try:
            deque(hashed, maxlen=0)
        except CorruptionError:
            return False
        except StorageError:
            return True
        return hashed.content.digest != digest

    def _found(self, digest: str) -> bytes | None:
        """Return a blob from the cache and record that it was read now; None if it is missing or damaged."""
        try:
            content = self.kept.get(digest)
        except CorruptionError:
            return None
        self._touch(digest)
        return content

    def _found_file(self, digest: str) -> BinaryIO | None:
        try:
            file = self.kept.file(digest)
        except CorruptionError:
            return None
        self._touch(digest)
        return file

    def _touch(self, digest: str) -> None:
        """Record that a blob was read now. Its time of writing stays, since it is noted."""
        path = self.kept.path(digest)
        # Another process may have dropped the file meanwhile, or another user may own it.
        with suppress(OSError):
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    def _keep(self, content: bytes, digest: str) -> None:
        if len(content) <= self.bound:
            with self._keeping(digest, len(content)):
                self.kept.receive(HashedChunks([content]))

    @contextmanager
    def _keeping(self, digest: str, size: int) -> Iterator[None]:
        """Make room for a blob that is written meanwhile."""
        with self._locked(_WHOLE):
            # Every writer holds this lock, so these files were left over from crashed processes.
            for leftover in self.kept.leftovers():
                self.kept.remove_leftover(leftover)
            self.kept.remove(digest)
            self._make_room(size)
            try:
                yield
            except OSError as error:
                raise StorageError(
                    f"cannot store {size:,} bytes in {self.kept.path(digest)}: {error.strerror or error}; "
                    f"free space or make the folder writable; with {CACHE_VARIABLE}=0 no blobs are kept there"
                ) from error

    def _make_room(self, wanted: int) -> None:
        kept = sorted(self.kept.digests(), key=lambda blob: self._last_read(blob.digest))
        room = self.bound - sum(blob.bytes for blob in kept)
        for blob in kept:
            if room >= wanted:
                return
            self.kept.remove(blob.digest)
            room += blob.bytes

    def _last_read(self, digest: str) -> float:
        try:
            return self.kept.path(digest).stat().st_atime
        except OSError:
            return 0.0

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        folder = self.kept.folder / "locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{name}.lock", poll_interval=_POLL_SECONDS)
            lock.acquire()
        except OSError as error:
            raise StorageError(
                f"cannot keep blobs of {self.place} in {self.kept.folder}: {error.strerror or error}; make the folder "
                f"writable; with {CACHE_VARIABLE}=0 no blobs are kept there"
            ) from error
        try:
            yield
        finally:
            lock.release()
