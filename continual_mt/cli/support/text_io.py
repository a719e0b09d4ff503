"""Line-by-line input and output for translation, in bounded memory; the output always ends in a complete line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from continual_mt.cli.support.console import print_text
from continual_mt.cli.support.pipes import arriving_lines, enlarge, lines_of_pipe
from continual_mt.data.corpora.compression import FORMATS
from continual_mt.data.corpora.line_reader import read_lines, read_stream
from continual_mt.data.corpora.read_once import reads_once
from continual_mt.data.corpora.text_url import TextPlace, TextURL
from continual_mt.errors import CorpusError, InputError, StorageError

STANDARD_INPUT = "standard input"
CHUNK_LINES = 500
CHUNK_CHARACTERS = 200_000


@dataclass(frozen=True)
class Chunk:
    """Consecutive lines of the input; ``first`` is the number of the first one, from 1."""

    first: int
    lines: list[str]


@dataclass(frozen=True)
class Input:
    """A text file or URL, or standard input if ``path`` is None, plain or compressed. Lines end at ``\\n`` only."""

    path: TextPlace | None

    @property
    def name(self) -> str:
        return STANDARD_INPUT if self.path is None else str(self.path)

    def is_file(self, path: Path) -> bool:
        """Return whether the text comes from this file, directly or as standard input opened by the shell."""
        if self.path is not None:
            return isinstance(self.path, Path) and self.path.exists() and path.samefile(self.path)
        return path.is_file() and os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))

    def check(self) -> int | None:
        """Return the number of lines, or None if the text can be read only once.

        Raises CorpusError if the text cannot be read; call it before anything is written.
        """
        if self.path is None:
            enlarge(_standard_descriptor())  # so that the writer goes on while the model is loaded
            return None
        if isinstance(self.path, TextURL):
            with self.path.open():  # without reading it twice
                return None
        if reads_once(self.path):
            return None
        return sum(1 for _ in read_lines(self.path))

    def chunks(self, processes: int = 1, *, line_buffered: bool = False) -> Iterator[Chunk]:
        """Yield all lines in order, in chunks large enough for a number of processes.

        From a pipe, a chunk is what has arrived: it ends where the next line would have to be waited for. Chunks are
        single lines if ``line_buffered`` or from a terminal. Raises CorpusError for an invalid line, after the lines
        before it were yielded.
        """
        if line_buffered or (self.path is None and sys.stdin.isatty()):
            return _chunks(self._lines(), 1, CHUNK_CHARACTERS)
        return _chunks(self._lines(), processes * CHUNK_LINES, processes * CHUNK_CHARACTERS)

    def _lines(self) -> Iterator[str | None]:
        if self.path is None:
            return _standard_input()
        if isinstance(self.path, Path) and reads_once(self.path):
            return lines_of_pipe(self.path)
        return read_lines(self.path)


def _chunks(lines: Iterable[str | None], max_lines: int, max_characters: int) -> Iterator[Chunk]:
    first, kept, characters = 1, list[str](), 0
    try:
        for line in lines:
            if line is not None:
                kept.append(line)
                characters += len(line)
            if kept and (line is None or len(kept) >= max_lines or characters >= max_characters):
                yield Chunk(first, kept)
                first, kept, characters = first + len(kept), [], 0
    except CorpusError:
        if kept:
            yield Chunk(first, kept)
        raise
    if kept:
        yield Chunk(first, kept)


def _standard_descriptor() -> int | None:
    try:
        return sys.stdin.fileno()
    except OSError:  # a program that embeds this one replaced standard input
        return None


def _standard_input() -> Iterator[str | None]:
    descriptor = _standard_descriptor()
    return (
        read_stream(sys.stdin.buffer, STANDARD_INPUT)
        if descriptor is None
        else arriving_lines(descriptor, STANDARD_INPUT)
    )


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Join lines into blocks that a pipe takes in one atomic write: an interruption never cuts a line."""
    block, size = "", 0
    for line in lines:
        length = len(line.encode("utf-8", "backslashreplace"))
        if block and size + length > select.PIPE_BUF:
            yield block
            block, size = "", 0
        block, size = block + line, size + length
    if block:
        yield block


class Output:
    """An output file, or standard output if ``path`` is None. However the program ends, the file has complete lines.

    Use as a context manager. Raises InputError if it would overwrite the input or its folder does not exist,
    StorageError if writing fails.
    """

    def __init__(self, path: Path | None, text: Input) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._complete_bytes = 0
        if path is None:
            return
        with self._write_errors():
            if not path.parent.is_dir():
                raise InputError(f"{path}: the folder {path.parent} does not exist. Fix: create it")
            if path.suffix in FORMATS:
                raise InputError(f"{path}: the output cannot be compressed; expected a name without {path.suffix}")
            if path.exists() and text.is_file(path):
                raise InputError(f"{path}: input and output are the same file. Fix: use another --output")

    def __enter__(self) -> Self:
        if self._path is not None:
            with self._write_errors():
                self._file = FileIO(self._path, "w")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None or self._path is None:
            return
        with self._write_errors(), self._file:
            if self._path.is_file():
                self._file.truncate(self._complete_bytes)

    def write(self, lines: Sequence[str]) -> None:
        # A vocabulary may contain a line break as a piece; each translation has to stay on one line.
        whole = [line.replace("\n", " ") + "\n" for line in lines]
        if self._file is None:
            for block in _blocks(whole):
                print_text(block)
            return
        rest = memoryview("".join(whole).encode())
        size = len(rest)
        with self._write_errors():
            while rest:
                rest = rest[self._file.write(rest) :]
        self._complete_bytes += size

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"{self._path}: write failed: {error.strerror or error}") from error
