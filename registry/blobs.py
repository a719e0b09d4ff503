"""Bytes under their SHA-256, in a folder with a two-character fan-out."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from continual_mt.errors import CorruptionError, StorageError

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BlobStore:
    """A folder of blobs. Needs no database, so that workers can read from it with nothing but its path.

    A blob is written once, under a temporary name, made durable and then renamed: whoever sees it sees all of it,
    and it is read-only from then on. All methods raise StorageError, naming the path, when the folder cannot be used.
    """

    folder: Path

    def path(self, digest: str) -> Path:
        """Where a blob lies or would lie. Raises CorruptionError for what is not 64 hexadecimal digits."""
        if not _DIGEST.fullmatch(digest):
            raise CorruptionError(f"{digest[:80]!r} is not the SHA-256 of a blob: it has to be 64 hexadecimal digits")
        return self.folder / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Store bytes and return their digest. What is there already, in full length, is not written again."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        try:
            if not _has_size(path, len(content)):
                self._make_folder(path.parent)
                _write(path, content)
        except OSError as error:
            raise StorageError(
                f"cannot store {len(content):,} bytes in {path}: {error.strerror or error}; nothing was registered. "
                "Free space or make the folder writable, then run the same command again"
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a blob. Raises CorruptionError when they are missing or do not have this digest."""
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise CorruptionError(f"blob {digest} is missing: there is no file {path}. {_WAY_OUT}") from error
        except OSError as error:
            raise StorageError(f"cannot read blob {digest} from {path}: {error.strerror or error}") from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != digest:
            raise CorruptionError(
                f"blob {digest} is damaged: the {len(content):,} bytes in {path} have the digest {actual}. "
                f"The file was left as it is and nothing else was touched. {_WAY_OUT}"
            )
        return content

    def put_all(self, pieces: Mapping[str, bytes]) -> dict[str, str]:
        """Store named pieces and return the digest of each."""
        return {name: self.put(content) for name, content in pieces.items()}

    def get_all(self, digests: Mapping[str, str]) -> dict[str, bytes]:
        """The reverse of `put_all`, every piece verified."""
        return {name: self.get(digest) for name, digest in digests.items()}

    def _make_folder(self, folder: Path) -> None:
        """Make the folder of a blob; a new name is durable once the folder that it is in is."""
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for place in (self.folder.parent, self.folder):
            _synchronize(place)


_WAY_OUT = (
    "Copy the file back from a backup, or remove it and register the same content again "
    "(the job that made it writes the same bytes)"
)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        # Also when interrupted: a temporary file would lie there for ever.
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    _synchronize(path.parent)


def _synchronize(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
