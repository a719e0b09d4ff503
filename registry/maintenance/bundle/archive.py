"""The file of a bundle: a tar of its manifest and its blobs, in which every byte is determined by the manifest.

The manifest comes first, under a name that holds its SHA-256; the blobs follow in the order of their digests. What
reads it does not interpret headers: it computes what they have to be and compares. So paths, links, devices, sparse
files and extensions are rejected, nothing is ever extracted to a name, and every changed byte is noticed.
``tar --list`` and ``tar --extract`` read it, too.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from continual_mt.artifacts.stored.serialization import StoredPiece
from continual_mt.errors import CorruptionError, InputError, StorageError, UnknownNameError
from registry.blobs import BlobStore
from registry.blobs.store import MAPPED
from registry.maintenance.bundle import format1
from registry.maintenance.bundle.manifest import MAXIMUM_BYTES, Manifest, read_manifest
from registry.maintenance.results import Progress

_Result = TypeVar("_Result")

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_CHUNK = 1 << 20
_NAME = re.compile(r"manifest-([0-9a-f]{64})\.json")


class Bundle:
    """An open bundle whose manifest was read; `check` reads all the rest. Errors name the file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._size = os.fstat(file.fileno()).st_size
        self.manifest = self._read_manifest()
        self._places = self._read_headers()

    def check(self, progress: Progress = lambda done: None) -> None:
        """Raises CorruptionError unless the file holds exactly the blobs of its manifest, each with its digest."""
        for done, digest in enumerate(self._places, start=1):
            actual = hashlib.sha256()
            for chunk in self._chunks(digest):
                actual.update(chunk)
            if actual.hexdigest() != digest:
                raise self.refused(
                    f"the blob {digest} in it is damaged: its bytes have the digest {actual.hexdigest()}"
                )
            padding = -self.manifest.blobs[digest] % _BLOCK
            if self._take(padding, digest) != bytes(padding):
                raise self.refused(f"trailing data after the blob {digest}")
            progress(done)

    def copy_to(self, blobs: BlobStore, digest: str) -> None:
        """Store one blob, checked once more: the file may have changed since."""

        def check(actual: str, size: int) -> None:
            if actual != digest:
                raise self._changed(digest)

        blobs.put_chunks(self._chunks(digest), check)

    def read(self, digest: str) -> bytes:
        """One blob, checked once more: the file may have changed since."""
        content = b"".join(self._chunks(digest))
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._changed(digest)
        return content

    def load(
        self, digests: Mapping[str, str], folder: Path, read: Callable[[dict[str, StoredPiece]], _Result]
    ) -> _Result:
        """Return what ``read`` makes of named pieces: weights as files, all others as bytes.

        The files have no name and are in ``folder``. So weights are mapped into memory, and not read into it.
        """
        with ExitStack() as files:
            return read(
                {
                    name: files.enter_context(self._weights(digest, folder))
                    if name.endswith(MAPPED)
                    else self.read(digest)
                    for name, digest in digests.items()
                }
            )

    @contextmanager
    def _weights(self, digest: str, folder: Path) -> Iterator[BinaryIO]:
        with _temporary(folder) as file:
            actual = hashlib.sha256()
            for chunk in self._chunks(digest):
                actual.update(chunk)
                with _writing(folder):
                    file.write(chunk)
            with _writing(folder):
                file.flush()
            if actual.hexdigest() != digest:
                raise self._changed(digest)
            yield file

    def _changed(self, digest: str) -> CorruptionError:
        return self.refused(f"the blob {digest} in it changed while it was read")

    def _read_manifest(self) -> Manifest:
        block = self._take(_BLOCK, "its first header")
        header = self._interpreted(block)
        match = _NAME.fullmatch(header.name)
        if match is None or not header.isreg():
            raise self.refused(f"it does not begin with its manifest, but with {_described(header)}")
        if not 0 <= header.size <= MAXIMUM_BYTES:
            raise self.refused(f"its manifest claims {header.size:,} bytes; at most {MAXIMUM_BYTES:,} are read")
        if block != _header(header.name, header.size):
            raise self.refused("the header of its manifest was changed")
        content = self._take(header.size, "its manifest")
        if hashlib.sha256(content).hexdigest() != match[1]:
            raise self.refused("its manifest was changed: its digest is not the one in its name")
        padding = -header.size % _BLOCK
        if self._take(padding, "its manifest") != bytes(padding):
            raise self.refused("trailing data after its manifest")
        try:
            manifest = read_manifest(content)
        except CorruptionError as error:
            raise self.refused(f"its manifest cannot be used: {error}") from error
        return format1.typed(manifest) if manifest.format == 1 else manifest

    def _read_headers(self) -> dict[str, int]:
        """Return where the bytes of each blob begin. Members must match the manifest in number, length and order."""
        places: dict[str, int] = {}
        place = self._file.tell()
        for digest, size in sorted(self.manifest.blobs.items()):
            self._file.seek(place)
            block, name = self._take(_BLOCK, f"the blob {digest}"), f"blobs/{digest}"
            if block != _header(name, size):
                found = "an end" if not any(block) else _described(self._interpreted(block))
                raise self.refused(f"{name} of {size:,} bytes was expected, found {found}")
            places[digest] = place + _BLOCK
            place += _BLOCK + size + -size % _BLOCK
            if place > self._size:
                raise self.refused(f"it is cut off: it ends within the blob {digest}")
        self._file.seek(place)
        block = self._take(_BLOCK, "its end")
        if any(block):
            raise self.refused(f"it holds {_described(self._interpreted(block))} beside what its manifest lists")
        if self._size != place + len(_END) or self._take(_BLOCK, "its end") != bytes(_BLOCK):
            raise self.refused("trailing data after the archive")
        return places

    def _chunks(self, digest: str) -> Iterator[bytes]:
        self._file.seek(self._places[digest])
        remaining = self.manifest.blobs[digest]
        while remaining:
            chunk = self._take(min(remaining, _CHUNK), f"the blob {digest}")
            remaining -= len(chunk)
            yield chunk

    def _take(self, size: int, what: str) -> bytes:
        content = self._file.read(size)
        if len(content) != size:
            raise self.refused(f"it is cut off: it ends within {what}")
        return content

    def _interpreted(self, block: bytes) -> tarfile.TarInfo:
        """For telling what was found instead; nothing is done with it."""
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.TarError as error:
            raise self.refused(f"it is no tar of `registry export`, or was damaged ({error})") from error

    def refused(self, problem: str) -> CorruptionError:
        return CorruptionError(f"the bundle {self._path} is refused, and nothing was changed: {problem}")


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle. Raises UnknownNameError if missing, StorageError if unreadable, CorruptionError if invalid."""
    if not path.is_file():
        raise UnknownNameError(f"bundle {path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as file:
            yield Bundle(path, file)
    except OSError as error:
        raise StorageError(f"cannot read the bundle {path}: {error.strerror or error}") from error


def write_bundle(path: Path, manifest: Manifest, blobs: BlobStore, progress: Progress) -> None:
    """Write a bundle under a temporary name and rename it when it is complete.

    Only another bundle is ever replaced: InputError is raised for another file, CorruptionError for a blob that
    is damaged or missing, StorageError when the file cannot be written.
    """
    if path.exists() and not _is_bundle(path):
        raise InputError(f"{path} exists and is not a bundle; choose another name, or move the file away")
    text = format1.dumped(manifest)
    if len(text) > MAXIMUM_BYTES:
        raise StorageError(f"the manifest of {path} would be {len(text):,} bytes; name fewer modules")
    with _replacing(path) as file:
        _write_member(file, f"manifest-{hashlib.sha256(text).hexdigest()}.json", [text], len(text))
        for done, (digest, size) in enumerate(sorted(manifest.blobs.items()), start=1):
            _write_member(file, f"blobs/{digest}", _checked(blobs, digest, size), size)
            progress(done)
        file.write(_END)


def _is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does."""
    try:
        with path.open("rb") as file:
            return _NAME.fullmatch(tarfile.TarInfo.frombuf(file.read(_BLOCK), "utf-8", "strict").name) is not None
    except (OSError, tarfile.TarError, UnicodeError):
        return False


def _checked(blobs: BlobStore, digest: str, size: int) -> Iterator[bytes]:
    actual, length = hashlib.sha256(), 0
    for chunk in blobs.chunks(digest):
        actual.update(chunk)
        length += len(chunk)
        yield chunk
    if (actual.hexdigest(), length) != (digest, size):
        raise CorruptionError(
            f"blob {digest} in {blobs.place} is damaged: its {length:,} bytes have the digest {actual.hexdigest()}; "
            "no bundle was written. `continual-mt registry verify` lists what needs it"
        )


def _write_member(file: BinaryIO, name: str, chunks: Iterator[bytes] | list[bytes], size: int) -> None:
    file.write(_header(name, size))
    for chunk in chunks:
        file.write(chunk)
    file.write(bytes(-size % _BLOCK))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _temporary(folder: Path) -> BinaryIO:
    with _writing(folder):
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    if isinstance(error, FileNotFoundError):
        return StorageError(f"cannot write the bundle {path}: the folder {path.parent} does not exist; create it first")
    return StorageError(f"cannot write the bundle {path}: {error.strerror or error}; an existing file is unchanged")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


_KINDS: tuple[tuple[Callable[[tarfile.TarInfo], bool], str], ...] = (
    (tarfile.TarInfo.issym, "a symbolic link"),
    (tarfile.TarInfo.islnk, "a hard link"),
    (tarfile.TarInfo.isdir, "a folder"),
    (tarfile.TarInfo.isdev, "a device or pipe"),
    (tarfile.TarInfo.isreg, "a file"),
)


def _described(header: tarfile.TarInfo) -> str:
    kind = next((words for holds, words in _KINDS if holds(header)), "an extension")
    if header.type not in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE) and header.isreg():
        kind = "a special file"
    link = f" to {header.linkname[:80]!r}" if header.linkname else ""
    return f"{kind} {header.name[:80]!r}{link} of {header.size:,} bytes"
