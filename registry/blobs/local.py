"""Blobs as files of a folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from continual_mt.errors import StorageError
from registry.blobs.arrival import forget, is_noted, is_orphan, note_arrival, note_hashed
from registry.blobs.store import (
    CHUNK_BYTES,
    FAN_OUT,
    OWNERS,
    QUARANTINE,
    TEMPORARY,
    BlobStore,
    Check,
    Chunks,
    HashedChunks,
    Leftover,
    StoredBlob,
    StoredContent,
    checked,
    is_digest,
    missing,
    no_check,
    place_of,
)

_UNNAMED = "0" * FAN_OUT
"""The folder in which a blob is written whose digest is not known yet."""


@dataclass(frozen=True)
class FolderStore(BlobStore):
    """A blob is written once, under a temporary name, made durable and then renamed; it is read-only from then on.

    A file that others have mapped stays as it is for them when it is removed, or replaced by an equal one.
    """

    folder: Path

    @property
    def place(self) -> str:
        return str(self.folder)

    @property
    def is_local(self) -> bool:
        return True

    def path(self, digest: str) -> Path:
        """Where a blob lies or would lie."""
        return self.folder / place_of(digest)

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        try:
            if not _is_renewed(path, len(content)):
                self._make_folder(path.parent)
                _write(path, content)
        except OSError as error:
            raise _not_stored(len(content), path, error) from error
        return digest

    def put_chunks(self, chunks: Chunks, check: Check = no_check) -> StoredContent:
        hashed = HashedChunks(chunks)
        try:
            content = self.receive(hashed, check)
        except OSError as error:
            raise _not_stored(hashed.bytes, self.folder / _UNNAMED, error) from error
        note_arrival(self.path(content.digest))
        return content

    def receive(self, hashed: HashedChunks, check: Check = no_check) -> StoredContent:
        """As `put_chunks`, without a note; raises OSError when the folder cannot be written to."""
        self._make_folder(self.folder / _UNNAMED)
        with _writing(self.folder / _UNNAMED) as (file, temporary):
            for chunk in hashed:
                file.write(chunk)
            check((content := hashed.content).digest, content.bytes)
            _finish(file)
            path = self.path(content.digest)
            self._make_folder(path.parent)
            temporary.replace(path)
        _synchronize(path.parent)
        return content

    def get(self, digest: str) -> bytes:
        path = self.path(digest)
        with _reading(digest, path):
            return checked(path.read_bytes(), digest, str(path))

    def file(self, digest: str) -> BinaryIO:
        path = self.path(digest)
        with _reading(digest, path):
            file = path.open("rb")
            try:
                status = os.fstat(file.fileno())
                if not is_noted(path, status):
                    self.check(digest)(hashlib.file_digest(file, "sha256").hexdigest(), status.st_size)
                    note_hashed(path, status)
                    file.seek(0)
            except BaseException:
                file.close()
                raise
            return file

    def location(self, digest: str) -> str:
        return str(self.path(digest))

    def digests(self) -> Iterator[StoredBlob]:
        for path, status in self._files():
            if is_digest(path.name):
                yield StoredBlob(path.name, status.st_size, status.st_mtime)

    def size(self, digest: str) -> int:
        path = self.path(digest)
        with _reading(digest, path):
            return path.stat().st_size

    def chunks(self, digest: str) -> Iterator[bytes]:
        path = self.path(digest)
        with _reading(digest, path), path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def remove(self, digest: str) -> None:
        _unlink(self.path(digest))
        forget(self.path(digest))

    def forget_arrival(self, digest: str) -> None:
        forget(self.path(digest))

    def quarantine(self, digest: str) -> str:
        path = self.path(digest)
        aside = self.folder / QUARANTINE / f"{digest}-{time.time_ns()}"
        with _reading(digest, path):
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
            forget(path)
        return str(aside)

    def set_aside(self, digest: str) -> str | None:
        return max((str(path) for path in (self.folder / QUARANTINE).glob(f"{digest}-*")), default=None)

    def claimants(self) -> Mapping[str, str]:
        folder = self.folder / OWNERS
        try:
            return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[0-9a-f]*"))}
        except OSError as error:
            raise StorageError(f"cannot read whose blobs are in {self.folder}: {error.strerror or error}") from error

    def claim(self, identity: str, name: str) -> None:
        path = self.folder / OWNERS / identity
        try:
            if not path.exists() or path.read_text(encoding="utf-8") != name:
                self._make_folder(path.parent)
                _write(path, name.encode())
        except OSError as error:
            raise _not_stored(len(name), path, error) from error

    def leftovers(self) -> Iterator[Leftover]:
        for path, status in self._files():
            if path.name.startswith(TEMPORARY) or is_orphan(path):
                yield Leftover(str(path), status.st_size, status.st_mtime)

    def remove_leftover(self, leftover: Leftover) -> None:
        _unlink(Path(leftover.place))

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """What lies in the fan-out."""
        try:
            for folder in sorted(self.folder.glob("[0-9a-f]" * FAN_OUT)):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(FileNotFoundError):  # removed, or renamed to its digest, since it was listed
                            yield Path(entry.path), entry.stat()
        except OSError as error:
            raise StorageError(f"cannot list the blobs in {self.folder}: {error.strerror or error}") from error

    def _make_folder(self, folder: Path) -> None:
        """Make the folder of a blob; a new name is durable once the folder that it is in is."""
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for place in (self.folder.parent, self.folder):
            _synchronize(place)


def _not_stored(size: int, path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot store {size:,} bytes in {path}: {error.strerror or error}; nothing was registered. "
        "Free space or make the folder writable, then run the same command again"
    )


@contextmanager
def _reading(digest: str, path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise missing(digest, str(path)) from error
    except OSError as error:
        raise StorageError(f"cannot read blob {digest} from {path}: {error.strerror or error}") from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror or error}") from error


def _is_renewed(path: Path, size: int) -> bool:
    """Whether a blob exists in full length; if so its time is updated, so that it is not collected as left over.

    What another user wrote cannot be renewed, only written again.
    """
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    with _writing(path.parent) as (file, temporary):
        file.write(content)
        _finish(file)
        temporary.replace(path)
    _synchronize(path.parent)


@contextmanager
def _writing(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a temporary file and yield it with its path, from which the caller renames it."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=TEMPORARY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, Path(name)
    except BaseException:
        # Also when interrupted: a temporary file would lie there for ever.
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _finish(file: BinaryIO) -> None:
    """Make a file read-only and durable."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())


def _synchronize(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
