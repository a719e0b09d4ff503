"""Unpack compressed text. The format is recognised by content, so that a wrong suffix or none does not matter."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from continual_mt.errors import CorpusError

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer

DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstandard.ZstdError)
"""What streams of `unpacked` raise for damaged or truncated content, beside OSError without an error number."""
FORMATS: Mapping[str, str] = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}
"""The usual suffix of each format."""
# One kilobyte of zstd decompresses to about thirty megabytes at worst, which bounds the memory for malicious files.
_COMPRESSED_CHUNK = 1 << 10
_HEAD = 262  # bytes up to the end of a tar archive's mark
_TAR_MARK = slice(257, 262)

# The first bytes of each format; none begins a text in UTF-8, or only an improbable one.
_GZIP, _XZ, _BZIP2, _ZSTANDARD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd"
_BZIP2_BLOCKS = b"1AY&SY", b"\x17rE8P\x90"  # after a digit: the first block, or the end of an empty file
_SKIPPABLE = b"\x2a\x4d\x18"  # a zstd frame without text, after a byte from 0x50 to 0x5f
_REFUSED: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive (or a document such as .docx, .xlsx or .odt)",
    b"PK\x05\x06": "an empty zip archive",
    b"PK\x07\x08": "a zip archive of several parts",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"\x1f\x9d": "compressed by compress (.Z)",
    b"LZIP": "compressed by lzip",
    b"\x5d\x00\x00": "compressed by lzma (the format before xz)",
    b"PAR1": "a Parquet file",
    b"%PDF-": "a PDF document",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def is_compressed(head: bytes, origin: Path | str) -> bool:
    """Whether content that begins so is compressed. Raises CorpusError, with ``origin``, as `unpacked` does."""
    if _unpacker(head, FORMATS.get(PurePath(origin).suffix)) is not None:
        return True
    _check(head, origin)
    return False


@contextmanager
def unpacked(stream: BinaryIO, origin: Path | str) -> Iterator[BinaryIO]:
    """Open the text in a binary stream: as it is, or decompressed from gzip, xz, bzip2 or zstd.

    Nothing but the text is read from ``stream``, which may be a pipe; it stays open. Raises CorpusError, with
    ``origin``, for archives and for other formats that are recognised.
    """
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    try:
        with _opened(buffered, origin) as text:
            yield text
    finally:
        if buffered is not stream:
            buffered.detach()


@contextmanager
def _opened(stream: io.BufferedReader, origin: Path | str) -> Iterator[BinaryIO]:
    # A pipe from which a program writes line by line may hold only its first bytes yet.
    head = stream.peek(_HEAD)
    claimed = FORMATS.get(PurePath(origin).suffix)
    unpack = _unpacker(head, claimed)
    if unpack is None:
        _check(head, origin)
        if claimed and not _may_be_text(head):
            raise CorpusError(origin, f"damaged: begins neither like {claimed}, as its suffix says, nor as UTF-8")
        yield cast(BinaryIO, stream)
        return
    with io.BufferedReader(unpack(cast(BinaryIO, stream))) as text:
        head = text.peek(_HEAD)
        _check(head, origin)
        if _unpacker(head, None) is not None:
            raise CorpusError(origin, "compressed twice. Fix: decompress it once")
        yield cast(BinaryIO, text)


def _unpacker(head: bytes, claimed: str | None) -> Callable[[BinaryIO], io.RawIOBase] | None:
    """What decompresses content that begins so; None for content that is not compressed.

    A file that ends within the mark of the format ``claimed`` by its suffix is a truncated one.
    """

    def begins(name: str, mark: bytes) -> bool:
        return head.startswith(mark) or (claimed == name and bool(head) and mark.startswith(head))

    if begins("gzip", _GZIP):
        return lambda stream: cast(io.RawIOBase, gzip.GzipFile(fileobj=stream))
    if begins("xz", _XZ):
        return lambda stream: cast(io.RawIOBase, lzma.LZMAFile(stream))
    if begins("bzip2", _BZIP2) and (head[4:10] in _BZIP2_BLOCKS or (claimed == "bzip2" and len(head) < 10)):
        return lambda stream: cast(io.RawIOBase, bz2.BZ2File(stream))
    if begins("zstd", _ZSTANDARD) or (head[1:4] == _SKIPPABLE and 0x50 <= head[0] < 0x60):
        return _ZstandardStream
    return None


def _may_be_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _check(head: bytes, origin: Path | str) -> None:
    """Raise CorpusError for content that begins as a format that is not read."""
    formats = [name for mark, name in _REFUSED.items() if head.startswith(mark)]
    if head[_TAR_MARK] == b"ustar":
        formats.append("a tar archive")
    if formats:
        raise CorpusError(
            origin,
            f"is {formats[0]}; expected text in UTF-8, one sentence per line, plain or compressed by gzip, xz, bzip2 "
            f"or zstd. Fix: {'convert it to UTF-8' if formats[0] == 'UTF-16' else 'unpack it'}",
        )


class _ZstandardStream(io.RawIOBase):
    """Decompresses one or more frames. Unlike the reader of ``zstandard``, it raises an error for a truncated frame."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._ready:
            if not self._advance():
                return 0
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _advance(self) -> bool:
        """Decompress the next chunk. Returns False at the end of the file."""
        if not self._compressed:
            self._compressed = self._file.read(_COMPRESSED_CHUNK)
        if not self._compressed:
            if self._frame is not None:
                raise EOFError("the last zstd frame is incomplete")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = memoryview(self._frame.decompress(self._compressed))
        self._compressed = b""
        if self._frame.eof:
            self._compressed, self._frame = self._frame.unused_data, None
        return True
