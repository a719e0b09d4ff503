"""Read text files, plain or compressed, line by line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from continual_mt.data.corpora.compression import DAMAGED, unpacked
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import CorpusError

# Far longer than any sentence. Without a limit, a file without line breaks would fill the memory.
MAXIMUM_LINE_BYTES = 1 << 20


def read_lines(path: TextPlace) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, or of a URL, without line endings and byte order mark.

    Lines end with ``\\n`` or ``\\r\\n`` only. Text that is compressed by gzip, xz, bzip2 or zstd is decompressed,
    whatever the file's suffix is. Raises CorpusError if the file is missing, unreadable, damaged, truncated or an
    archive, and, with the line number, if a line is not UTF-8 or longer than MAXIMUM_LINE_BYTES.
    """
    try:
        with path.open("rb") as file:
            yield from read_stream(file, path)
    except FileNotFoundError as error:
        raise CorpusError(path, "no such file") from error
    except IsADirectoryError as error:
        raise CorpusError(path, "is a folder; expected a file") from error
    except OSError as error:
        raise CorpusError(path, f"cannot be read ({error.strerror or error})") from error


def read_stream(stream: BinaryIO, origin: Path | str) -> Iterator[str]:
    """Yield the lines of an open binary stream, such as standard input, as `read_lines` does, as soon as they arrive.

    ``origin`` is named in errors, and its suffix tells the format of a truncated stream.
    """
    decode = LineDecoder(origin)
    try:
        with unpacked(stream, origin) as text:
            while raw := text.readline(MAXIMUM_LINE_BYTES + 1):
                yield decode(raw)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise CorpusError(origin, f"cannot be read ({error.strerror or error})") from error
        # bz2 reports damage by an OSError without a number.
        raise CorpusError(origin, f"damaged or truncated after line {decode.number} ({error})") from error
    decode.finish()


class LineDecoder:
    """Decodes the lines of a text one after another; ``number`` is that of the last one, from 1."""

    def __init__(self, origin: Path | str) -> None:
        self.number = 0
        self._origin, self._returns = origin, 0

    def __call__(self, raw: bytes) -> str:
        """Decode the next line, as `decode_line` does."""
        self.number += 1
        self._returns += raw.count(b"\r") - raw.endswith(b"\r\n")
        return decode_line(raw, self._origin, self.number)

    def finish(self) -> None:
        """Raise CorpusError if the lines of the text end with carriage returns only."""
        if self._returns > self.number:
            problem = (
                f"{self._returns:,} carriage returns within {self.number:,} lines, as if they ended lines; expected "
                "lines that end with a line feed. Fix: convert the file, for example with tr '\\r' '\\n'"
            )
            raise CorpusError(self._origin, problem)


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
