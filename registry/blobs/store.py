"""What every store of blobs does, wherever they lie."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

from continual_mt.errors import CorruptionError

FAN_OUT = 2
TEMPORARY = ".writing-"
QUARANTINE = "quarantine"
OWNERS = "owners"
CHUNK_BYTES = 8 << 20
MAPPED = ".safetensors"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_Result = TypeVar("_Result")

Chunks: TypeAlias = Iterable[bytes | memoryview]
"""The bytes of a blob, in parts of any size."""
Check: TypeAlias = Callable[[str, int], object]
"""Called with the digest and the length of what was read, before it is stored; raises an error to prevent that."""


def no_check(digest: str, size: int) -> None:
    """Store whatever was read."""


@dataclass(frozen=True)
class StoredBlob:
    """A blob as it is listed. ``written`` is when it was last put, or up to an hour earlier, in seconds since 1970."""

    digest: str
    bytes: int
    written: float


@dataclass(frozen=True)
class StoredContent:
    """What was put: its digest and length."""

    digest: str
    bytes: int


@dataclass(frozen=True)
class Leftover:
    """A temporary file, or the note of a blob that is gone. ``written`` is in seconds since 1970.

    The writer of a temporary file died, unless it is a moment ago.
    """

    place: str
    bytes: int
    written: float


class BlobStore(ABC):
    """Blobs of bytes, each stored under its SHA-256, in folders named by the first two characters of the digest.

    A blob is never seen half-written, and its file is never written to again. `get` checks what it reads against the
    digest; `file` only if that was not done since the file was last written to. A store needs no database and holds no
    credentials, so it can be sent to workers. All methods raise StorageError, naming the place, when the store cannot
    be used, and CorruptionError for a digest that is not 64 hexadecimal digits.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """The folder or URL."""

    @property
    @abstractmethod
    def is_local(self) -> bool:
        """Whether it is a folder, which other machines may not see."""

    @abstractmethod
    def put(self, content: bytes) -> str:
        """Store bytes and return their digest. An existing blob of full length only gets a new time."""

    @abstractmethod
    def put_chunks(self, chunks: Chunks, check: Check = no_check) -> StoredContent:
        """As `put`, without holding all bytes in memory."""

    @abstractmethod
    def get(self, digest: str) -> bytes:
        """The bytes of a blob. Raises CorruptionError when they are missing or do not have this digest."""

    @abstractmethod
    def file(self, digest: str) -> BinaryIO:
        """An open file with the bytes of a blob, to be mapped into memory.

        Raises CorruptionError when they are missing, or did not have this digest when the file was last written to.
        """

    @abstractmethod
    def digests(self) -> Iterator[StoredBlob]:
        """All blobs, a folder of the fan-out at a time."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """The length of a blob in bytes, without reading it. Raises CorruptionError when it is missing."""

    @abstractmethod
    def chunks(self, digest: str) -> Iterator[bytes]:
        """The bytes of a blob in chunks of bounded size, not checked. Raises CorruptionError when it is missing."""

    @abstractmethod
    def location(self, digest: str) -> str:
        """The path or URL of a blob, for messages."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Delete a blob if it exists."""

    @abstractmethod
    def forget_arrival(self, digest: str) -> None:
        """Have a blob hashed the next time that it is loaded, even if it was hashed before."""

    @abstractmethod
    def quarantine(self, digest: str) -> str:
        """Move a blob into quarantine and return its new location; nothing deletes it there.

        Raises CorruptionError when it is missing.
        """

    @abstractmethod
    def set_aside(self, digest: str) -> str | None:
        """Where a blob was last moved by `quarantine`; None when it never was."""

    @abstractmethod
    def claimants(self) -> Mapping[str, str]:
        """The registries whose blobs are here: the name that each passed to `claim`, by identity."""

    @abstractmethod
    def claim(self, identity: str, name: str) -> None:
        """Note that a registry has blobs here, and what it is called now."""

    @abstractmethod
    def leftovers(self) -> Iterator[Leftover]:
        """Temporary files, of writers that died and of those that write now, and notes of blobs that are gone."""

    @abstractmethod
    def remove_leftover(self, leftover: Leftover) -> None:
        """Delete such a file if it exists."""

    def keeping_in(self, place: Callable[[Path], Path]) -> BlobStore:
        """The same store. If it keeps copies in a folder, they are in the one that ``place`` gives for that."""
        return self

    def drop_damaged_copies(self) -> int:
        """Hash the copies that the store keeps here of blobs that lie elsewhere; delete and count the damaged ones."""
        return 0

    def has(self, digest: str) -> bool:
        """Whether there is a blob, whole or not."""
        try:
            self.size(digest)
        except CorruptionError:
            return False
        return True

    def copy_from(self, origin: BlobStore, digest: str) -> None:
        """Store a blob of another store. Raises CorruptionError when it is missing or damaged there."""
        self.put_chunks(origin.chunks(digest), origin.check(digest))

    def check(self, digest: str) -> Check:
        """A check of what was read from this blob: raises CorruptionError unless it has the digest."""

        def require(actual: str, size: int) -> None:
            if actual != digest:
                raise _damaged(digest, actual, size, self.location(digest))

        return require

    def load(self, digests: Mapping[str, str], read: Callable[[dict[str, bytes | BinaryIO]], _Result]) -> _Result:
        """Return what ``read`` makes of named pieces: weights as open files (see `file`), all others as bytes."""
        with ExitStack() as files:
            return read(
                {
                    name: files.enter_context(self.file(digest)) if name.endswith(MAPPED) else self.get(digest)
                    for name, digest in digests.items()
                }
            )

    def get_all(self, digests: Mapping[str, str]) -> dict[str, bytes]:
        """Named pieces, every one verified."""
        return {name: self.get(digest) for name, digest in digests.items()}


_WAY_OUT = (
    "'continual-mt registry verify' lists what needs it, and moves a damaged blob into quarantine. Fix: import a "
    "bundle that holds the blob ('continual-mt registry import'), copy its file from a backup, or register the same "
    "content again"
)


def is_digest(name: str) -> bool:
    return _DIGEST.fullmatch(name) is not None


def place_of(digest: str) -> str:
    """Where a blob lies in its store. Raises CorruptionError for what is not 64 hexadecimal digits."""
    if not is_digest(digest):
        raise CorruptionError(f"{digest[:80]!r} is not the SHA-256 of a blob: it has to be 64 hexadecimal digits")
    return f"{digest[:FAN_OUT]}/{digest}"


def checked(content: bytes, digest: str, place: str) -> bytes:
    """The content that was read from a place. Raises CorruptionError unless it has the digest."""
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise _damaged(digest, actual, len(content), place)
    return content


def _damaged(digest: str, actual: str, size: int, place: str) -> CorruptionError:
    return CorruptionError(
        f"blob {digest} is damaged: the {size:,} bytes in {place} have the digest {actual}. "
        f"The file was left as it is and nothing else was touched; {_WAY_OUT}"
    )


class HashedChunks:
    """Chunks whose digest and length are known once all have been read."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks, self._digest, self.bytes = chunks, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.bytes += len(chunk)
            yield chunk

    @property
    def content(self) -> StoredContent:
        return StoredContent(self._digest.hexdigest(), self.bytes)


def missing(digest: str, place: str) -> CorruptionError:
    return CorruptionError(f"blob {digest} is missing: {place} does not exist; {_WAY_OUT}")
