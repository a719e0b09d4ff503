"""Lines in and lines out for translating: as they come, in bounded memory, and only whole lines at any time."""

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
from continual_mt.data.corpora.line_reader import MAXIMUM_LINE_BYTES, decode_line, read_lines
from continual_mt.errors import CorpusError, InputError, StorageError

STANDARD_INPUT = "standard input"
CHUNK_LINES = 500
CHUNK_CHARACTERS = 200_000


@dataclass(frozen=True)
class Chunk:
    """Some lines of the input; ``first`` is the number of the first one, from 1."""

    first: int
    lines: list[str]


@dataclass(frozen=True)
class Input:
    """A text file (plain, ``.gz`` or ``.zst``), or standard input where ``path`` is None. Lines end at ``\\n`` only."""

    path: Path | None

    @property
    def name(self) -> str:
        return STANDARD_INPUT if self.path is None else str(self.path)

    def is_file(self, path: Path) -> bool:
        """Whether the text comes from this file, also where the shell opened it as standard input."""
        if self.path is not None:
            return self.path.exists() and path.samefile(self.path)
        return path.is_file() and os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))

    def check(self) -> int | None:
        """Count the lines, and raise CorpusError for what cannot be read, before anything is written.

        None where the text can be read only once.
        """
        if self.path is None or (self.path.exists() and not self.path.is_file() and not self.path.is_dir()):
            return None
        return sum(1 for _ in read_lines(self.path))

    def lines(self) -> Iterator[str]:
        return _standard_input() if self.path is None else read_lines(self.path)

    def chunks(self, processes: int = 1) -> Iterator[Chunk]:
        """All lines in order, enough of them at once for so many processes. Whoever types gets an answer line by line.

        Raises CorpusError at a line that is not text, after the lines before it.
        """
        if self.path is None and sys.stdin.isatty():
            return _chunks(self.lines(), 1, CHUNK_CHARACTERS)
        return _chunks(self.lines(), processes * CHUNK_LINES, processes * CHUNK_CHARACTERS)


def _chunks(lines: Iterable[str], most: int, most_characters: int) -> Iterator[Chunk]:
    first, kept, characters = 1, list[str](), 0
    try:
        for line in lines:
            kept.append(line)
            characters += len(line)
            if len(kept) >= most or characters >= most_characters:
                yield Chunk(first, kept)
                first, kept, characters = first + len(kept), [], 0
    except CorpusError:
        if kept:
            yield Chunk(first, kept)
        raise
    if kept:
        yield Chunk(first, kept)


def _standard_input() -> Iterator[str]:
    number = 0
    while raw := sys.stdin.buffer.readline(MAXIMUM_LINE_BYTES + 1):
        number += 1
        yield decode_line(raw, STANDARD_INPUT, number)


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Whole lines, as many as go into a pipe at once: what interrupts a write then leaves all of a block or nothing."""
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
    """A file, or standard output where ``path`` is None. Whatever ends the work, the file holds whole lines.

    Use as a context manager. Raises InputError where it would overwrite the input or its folder is missing,
    StorageError where it cannot be written.
    """

    def __init__(self, path: Path | None, text: Input) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._whole = 0
        if path is None:
            return
        with self._storing():
            if not path.parent.is_dir():
                raise InputError(f"{path}: there is no folder {path.parent}; make it first")
            if path.suffix in (".gz", ".zst"):
                raise InputError(f"{path}: the output is plain text; give it another name, and compress it afterwards")
            if path.exists() and text.is_file(path):
                raise InputError(f"{path} is the input as well; name another file for the output")

    def __enter__(self) -> Self:
        if self._path is not None:
            with self._storing():
                self._file = FileIO(self._path, "w")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None or self._path is None:
            return
        with self._storing(), self._file:
            if self._path.is_file():
                self._file.truncate(self._whole)

    def write(self, lines: Sequence[str]) -> None:
        # A piece of a vocabulary may stand for a line break; a line stays a line.
        whole = [line.replace("\n", " ") + "\n" for line in lines]
        if self._file is None:
            for block in _blocks(whole):
                print_text(block)
            return
        rest = memoryview("".join(whole).encode())
        size = len(rest)
        with self._storing():
            while rest:
                rest = rest[self._file.write(rest) :]
        self._whole += size

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror or error}") from error
