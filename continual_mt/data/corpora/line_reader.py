"""Read text files, plain or compressed, line by line."""

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

# Far longer than any sentence. Without a limit, a file without line breaks would fill the memory.
MAXIMUM_LINE_BYTES = 1 << 20
# One kilobyte of zstd decompresses to about thirty megabytes at worst, which bounds the memory for malicious files.
_COMPRESSED_CHUNK = 1 << 10


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, without line endings and byte order mark.

    Lines end with ``\\n`` or ``\\r\\n`` only. Files with the suffix ``.gz`` or ``.zst`` are decompressed. Raises
    CorpusError if the file is missing, unreadable, damaged or truncated, and, with the line number, if a line is not
    UTF-8 or longer than MAXIMUM_LINE_BYTES.
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
        raise CorpusError(path, "is a folder; expected a file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise CorpusError(path, f"damaged or truncated after line {number} ({error})") from error
    except OSError as error:
        raise CorpusError(path, f"cannot be read ({error.strerror or error})") from error


def decode_line(raw: bytes, path: Path | str, number: int) -> str:
    """Decode line ``number``, counted from 1, and strip its line ending and, in line 1, the byte order mark.

    Other carriage returns become spaces. Raises CorpusError, with ``path`` and ``number``, if the line is not UTF-8 or
    longer than MAXIMUM_LINE_BYTES.
    """
    if len(raw) > MAXIMUM_LINE_BYTES:
        problem = f"longer than {MAXIMUM_LINE_BYTES:,} bytes; expected text, one sentence per line"
        raise CorpusError(path, problem, number)
    if number == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8").replace("\r", " ")
    except UnicodeDecodeError as error:
        byte, position = raw[error.start], error.start + 1
        problem = f"not UTF-8 (byte 0x{byte:02x} at position {position}). Fix: convert the file to UTF-8"
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
