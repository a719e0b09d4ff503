"""Blobs at a URL, with any driver of fsspec."""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import fsspec

from continual_mt.errors import ContinualMTError, StorageError
from registry.blobs.faults import is_missing_container, storage_error
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

RENEWED_AFTER_SECONDS = 3600
# Here an object appears at once, and whole; elsewhere a file is seen while it is written.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
# What drivers call the time of the last write.
_TIMES = ("LastModified", "mtime", "last_modified", "updated", "modified")


@dataclass(frozen=True)
class RemoteStore(BlobStore):
    """Blobs at a URL. Credentials come from the user's environment, or from the user's configuration of fsspec.

    To renew a blob's time of writing, `put` writes an existing blob again if it is older than an hour.
    """

    url: str

    @property
    def place(self) -> str:
        return self.url

    @property
    def is_local(self) -> bool:
        return False

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        with self._used(f"store {len(content):,} bytes"):
            files, path = self._path(digest)
            if not _is_fresh(files, path, len(content)):
                _write(files, path, content)
        return digest

    def put_chunks(self, chunks: Chunks, check: Check = no_check) -> StoredContent:
        hashed = HashedChunks(chunks)
        with self._gathered(hashed) as file:
            check((content := hashed.content).digest, content.bytes)
            with self._used(f"store {content.bytes:,} bytes"):
                files, path = self._path(content.digest)
                if not _is_fresh(files, path, content.bytes):
                    _write(files, path, file)
        return content

    def get(self, digest: str) -> bytes:
        with self._reading(digest):
            files, path = self._path(digest)
            content: bytes = files.cat_file(path)
        return checked(content, digest, self.location(digest))

    def file(self, digest: str) -> BinaryIO:
        """A temporary copy, which exists until it is closed and no longer mapped."""
        hashed = HashedChunks(self.chunks(digest))
        file = self._gathered(hashed)
        try:
            self.check(digest)(hashed.content.digest, hashed.bytes)
        except BaseException:
            file.close()
            raise
        return file

    def _gathered(self, hashed: HashedChunks) -> BinaryIO:
        """Write chunks into a temporary file, which has no name. Raises StorageError when there is no room for them."""
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
            try:
                file.writelines(hashed)
                file.seek(0)
            except BaseException:
                file.close()
                raise
        except OSError as error:
            raise StorageError(
                f"cannot keep a blob of {self.place} in {tempfile.gettempdir()}: {error.strerror or error}; free space "
                "there, or set TMPDIR to another folder"
            ) from error
        return cast(BinaryIO, file)

    def digests(self) -> Iterator[StoredBlob]:
        for name, entry in self._entries():
            if is_digest(name):
                yield StoredBlob(name, int(entry["size"]), _written(entry))

    def size(self, digest: str) -> int:
        with self._reading(digest):
            files, path = self._path(digest)
            return int(files.info(path)["size"])

    def chunks(self, digest: str) -> Iterator[bytes]:
        size = self.size(digest)
        for start in range(0, size, CHUNK_BYTES):
            with self._reading(digest):
                files, path = self._path(digest)
                chunk: bytes = files.cat_file(path, start=start, end=min(size, start + CHUNK_BYTES))
            yield chunk

    def remove(self, digest: str) -> None:
        place = place_of(digest)
        with self._used(f"remove blob {digest}"):
            self._remove(f"{self._root()[1]}/{place}")

    def forget_arrival(self, digest: str) -> None:
        """Do nothing: what is fetched is hashed each time."""

    def quarantine(self, digest: str) -> str:
        aside = f"{QUARANTINE}/{digest}-{time.time_ns()}"
        with self._reading(digest):
            files, path = self._path(digest)
            root = self._root()[1]
            if not _is_object_store(files):
                files.makedirs(f"{root}/{QUARANTINE}", exist_ok=True)
            files.mv(path, f"{root}/{aside}")
        return f"{self.url}/{aside}"

    def set_aside(self, digest: str) -> str | None:
        with self._used("look into the quarantine of"):
            files, root = self._root()
            names = [str(path).rpartition("/")[2] for path in files.glob(f"{root}/{QUARANTINE}/{digest}-*")]
        return f"{self.url}/{QUARANTINE}/{max(names)}" if names else None

    def claimants(self) -> Mapping[str, str]:
        with self._used("read whose the blobs are"):
            files, root = self._root()
            found = sorted(name for name, _ in _listed(files, f"{root}/{OWNERS}") if not name.startswith(TEMPORARY))
            return {name: files.cat_file(f"{root}/{OWNERS}/{name}").decode() for name in found if name}

    def claim(self, identity: str, name: str) -> None:
        with self._used("write whose the blobs are"):
            files, root = self._root()
            files.invalidate_cache()
            path = f"{root}/{OWNERS}/{identity}"
            if not files.exists(path) or files.cat_file(path).decode() != name:
                _write(files, path, name.encode())

    def leftovers(self) -> Iterator[Leftover]:
        for name, entry in self._entries():
            if name.startswith(TEMPORARY):
                yield Leftover(str(entry["name"]), int(entry["size"]), _written(entry))

    def remove_leftover(self, leftover: Leftover) -> None:
        with self._used(f"remove {leftover.place}"):
            self._remove(leftover.place)

    def _remove(self, path: str) -> None:
        try:
            self._root()[0].rm_file(path)
        except FileNotFoundError as error:
            if is_missing_container(error):
                raise

    def _entries(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Name and description of what lies in the fan-out."""
        with self._used("list the blobs"):
            files, root = self._root()
            folders = sorted(name for name, entry in _listed(files, root) if len(name) == FAN_OUT)
        for folder in folders:
            with self._used("list the blobs"):
                entries = _listed(files, f"{root}/{folder}")
            yield from entries

    def _root(self) -> tuple[Any, str]:
        """The file system and the path of the store in it. fsspec makes one for each URL and process, and keeps it."""
        files, root = fsspec.url_to_fs(self.url)
        return files, root.rstrip("/")

    def _path(self, digest: str) -> tuple[Any, str]:
        place = place_of(digest)
        files, root = self._root()
        # Others write, too: what was listed before does not count.
        files.invalidate_cache()
        return files, f"{root}/{place}"

    def location(self, digest: str) -> str:
        return f"{self.url}/{place_of(digest)}"

    @contextmanager
    def _reading(self, digest: str) -> Iterator[None]:
        with self._used(f"read blob {digest}"):
            try:
                yield
            except FileNotFoundError as error:
                if is_missing_container(error):
                    raise
                raise missing(digest, self.location(digest)) from None

    @contextmanager
    def _used(self, purpose: str) -> Iterator[None]:
        """Turns what the driver raises, which may be anything, into StorageError.

        Not `from` it: its own text may hold what the message hides.
        """
        try:
            yield
        except ContinualMTError:
            raise
        except Exception as error:
            raise storage_error(self.url, purpose, error) from None


def _is_object_store(files: Any) -> bool:
    protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    return not _OBJECT_STORES.isdisjoint(protocols)


def _is_fresh(files: Any, path: str, size: int) -> bool:
    """Whether a blob exists in full length and was written too recently to be collected as left over."""
    try:
        entry = files.info(path)
    except FileNotFoundError:
        return False
    return entry["size"] == size and time.time() - _written(entry) < RENEWED_AFTER_SECONDS


def _write(files: Any, path: str, content: bytes | BinaryIO) -> None:
    if _is_object_store(files):
        _upload(files, path, content)
        return
    folder = path.rpartition("/")[0]
    files.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}"
    try:
        _upload(files, temporary, content)
        files.mv(temporary, path)
    except BaseException:
        with suppress(Exception):
            files.rm_file(temporary)
        raise


def _upload(files: Any, path: str, content: bytes | BinaryIO) -> None:
    if isinstance(content, bytes):
        files.pipe_file(path, content)
    else:
        files.put_file(f"/dev/fd/{content.fileno()}", path)


def _listed(files: Any, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and description of each entry of a folder; nothing, where nothing was written yet."""
    files.invalidate_cache()
    try:
        entries = files.ls(path, detail=True)
    except FileNotFoundError as error:
        if is_missing_container(error):
            raise
        return []
    return [(str(entry["name"]).rpartition("/")[2], entry) for entry in entries]


def _written(entry: Mapping[str, Any]) -> float:
    """Seconds since 1970 of the last write. Raises StorageError where the driver does not tell."""
    value = next((entry[name] for name in _TIMES if entry.get(name) is not None), None)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float):
        return float(value)
    raise StorageError(f"the driver does not say when {entry['name']} was written; keep blobs in another kind of store")
