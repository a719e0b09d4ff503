"""What every store of blobs does, wherever they lie."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from continual_mt.errors import CorruptionError

FAN_OUT = 2
TEMPORARY = ".writing-"
QUARANTINE = "quarantine"
OWNERS = "owners"
CHUNK_BYTES = 8 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredBlob:
    """A blob as it is listed. ``written`` is when it was last put, or up to an hour earlier, in seconds since 1970."""

    digest: str
    bytes: int
    written: float


@dataclass(frozen=True)
class Leftover:
    """A temporary file. Its writer died, unless ``written``, in seconds since 1970, is a moment ago."""

    place: str
    bytes: int
    written: float


class BlobStore(ABC):
    """Blobs of bytes, each stored under its SHA-256, in folders named by the first two characters of the digest.

    A blob is never seen half-written, and what is read is checked against its digest. A store needs no database and
    holds no credentials, so it can be sent to workers. All methods raise StorageError, naming the place, when the store
    cannot be used, and CorruptionError for a digest that is not 64 hexadecimal digits.
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
    def get(self, digest: str) -> bytes:
        """The bytes of a blob. Raises CorruptionError when they are missing or do not have this digest."""

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
    def remove(self, digest: str) -> None:
        """Delete a blob if it exists."""

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
        """Temporary files, of writers that died and of those that write now."""

    @abstractmethod
    def remove_leftover(self, leftover: Leftover) -> None:
        """Delete a temporary file if it exists."""

    def keeping_in(self, place: Callable[[Path], Path]) -> BlobStore:
        """The same store. If it keeps copies in a folder, they are in the one that ``place`` gives for that."""
        return self

    def has(self, digest: str) -> bool:
        """Whether there is a blob, whole or not."""
        try:
            self.size(digest)
        except CorruptionError:
            return False
        return True

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
        raise CorruptionError(
            f"blob {digest} is damaged: the {len(content):,} bytes in {place} have the digest {actual}. "
            f"The file was left as it is and nothing else was touched; {_WAY_OUT}"
        )
    return content


def missing(digest: str, place: str) -> CorruptionError:
    return CorruptionError(f"blob {digest} is missing: {place} does not exist; {_WAY_OUT}")
