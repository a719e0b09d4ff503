"""Lines of a pipe as they arrive, so that a program that waits for an answer gets it."""

from __future__ import annotations

import fcntl
import io
import os
import select
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from continual_mt.data.corpora.compression import is_compressed
from continual_mt.data.corpora.line_reader import MAXIMUM_LINE_BYTES, LineDecoder, read_stream
from continual_mt.errors import CorpusError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A busy writer delivers its next line within this time, which a lone line waits in vain.
GRACE_MILLISECONDS = 10
PIPE_BYTES = 1 << 20  # what an unprivileged user may ask for; the usual 65,536 bytes are less than a chunk
READ_BYTES = 1 << 16
MAXIMUM_PARTS = 1000


def lines_of_pipe(path: Path) -> Iterator[str | None]:
    """Open a named pipe and yield its lines as `arriving_lines` does. Raises CorpusError if it cannot be read."""
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise CorpusError(path, f"cannot be read ({error.strerror or error})") from error
    with file:
        enlarge(file.fileno())
        yield from arriving_lines(file.fileno(), str(path))


def arriving_lines(descriptor: int, name: str) -> Iterator[str | None]:
    """Yield the lines of a file descriptor, and None whenever the next line has not arrived yet.

    Compressed text is read to its end without such breaks. Raises CorpusError as `read_stream` does.
    """
    blocks = _arriving_blocks(descriptor, name)
    for head in blocks:
        if head is None:
            yield None
        elif is_compressed(head, name):
            yield from read_stream(cast(BinaryIO, _Continued(head, descriptor)), name)
        else:
            yield from _decoded(chain((head,), blocks), name)


def _decoded(blocks: Iterable[bytes | None], name: str) -> Iterator[str | None]:
    decode, parts = LineDecoder(name), list[bytes]()
    for block in blocks:
        if block is None:
            yield None
            continue
        first, *others = block.split(b"\n")
        parts.append(first)
        for following in others:
            yield decode(b"".join(parts) + b"\n")
            parts = [following]
        if sum(map(len, parts)) > MAXIMUM_LINE_BYTES:
            break
        if len(parts) > MAXIMUM_PARTS:
            parts = [b"".join(parts)]
    if last := b"".join(parts):
        yield decode(last)
    decode.finish()


class _Continued(io.RawIOBase):
    """What was read of a file descriptor, and then the rest of it."""

    def __init__(self, head: bytes, descriptor: int) -> None:
        self._head, self._descriptor = head, descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        found = self._head[: len(target)] or os.read(self._descriptor, len(target))
        self._head = self._head[len(target) :]
        target[: len(found)] = found
        return len(found)


def _arriving_blocks(descriptor: int, name: str) -> Iterator[bytes | None]:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        while True:
            if not poll.poll(GRACE_MILLISECONDS):
                yield None
                poll.poll()
            with suppress(BlockingIOError):  # another process, which has the same file open, read it first
                if not (block := os.read(descriptor, READ_BYTES)):
                    return
                yield block
    except OSError as error:
        raise CorpusError(name, f"cannot be read ({error.strerror or error})") from error


def enlarge(descriptor: int | None) -> None:
    """Let a pipe hold PIPE_BYTES, if the descriptor is one, so that its writer does not wait."""
    if descriptor is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # no pipe, or the user's pipes have reached their limit
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
