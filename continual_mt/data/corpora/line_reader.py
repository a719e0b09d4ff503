"""Lines of a text file, plain or compressed, one at a time."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from continual_mt.errors import CorpusError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A sentence is far shorter; without a limit one file without line breaks would fill the memory.
MAXIMUM_LINE_BYTES = 1 << 20
# One kilobyte of zstd can stand for some thirty megabytes at worst, which bounds the memory of a hostile file.
_COMPRESSED_CHUNK = 1 << 10


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, divided at ``\\n`` only; a ``\\r`` before it and a byte order mark are dropped.

    Names that end in ``.gz`` or ``.zst`` are decompressed. Raises CorpusError for a file that is missing, not readable,
    damaged or cut off, and, with the line, for text that is not UTF-8 or a line over MAXIMUM_LINE_BYTES.
    """
    number = 0
    try:
        with _open(path) as stream:
            while raw := stream.readline(MAXIMUM_LINE_BYTES + 1):
                number += 1
                yield decode_line(raw, path, number)
    except FileNotFoundError as error:
        raise CorpusError(path, "no such file") from error
    except IsADirectoryError as error:
        raise CorpusError(path, "is a folder, not a file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise CorpusError(path, f"damaged or cut off after line {number} ({error})") from error
    except OSError as error:
        raise CorpusError(path, f"cannot be read ({error.strerror or error})") from error


def decode_line(raw: bytes, path: Path | str, number: int) -> str:
    """The text of line ``number`` (from 1) without its ending and byte order mark; a stray carriage return is a space.

    Raises CorpusError, naming ``path`` and the line, for what is over-long or not UTF-8.
    """
    if len(raw) > MAXIMUM_LINE_BYTES:
        raise CorpusError(path, f"longer than {MAXIMUM_LINE_BYTES:,} bytes; is this text, one sentence a line?", number)
    if number == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8").replace("\r", " ")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte 0x{raw[error.start]:02x} at position {error.start + 1}); convert the file first"
        raise CorpusError(path, problem, number) from error


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)
        elif path.suffix == ".zst":
            with io.BufferedReader(_ZstandardStream(file)) as buffered:
                yield cast(BinaryIO, buffered)
        else:
            yield file


class _ZstandardStream(io.RawIOBase):
    """Decompressed bytes of one or more frames; unlike the library's own reader, a cut-off frame is an error."""

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
        """Decompress the next piece; False at the end of the file."""
        if not self._compressed:
            self._compressed = self._file.read(_COMPRESSED_CHUNK)
        if not self._compressed:
            if self._frame is not None:
                raise EOFError("the last zstd frame is not complete")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = memoryview(self._frame.decompress(self._compressed))
        self._compressed = b""
        if self._frame.eof:
            self._compressed, self._frame = self._frame.unused_data, None
        return True
