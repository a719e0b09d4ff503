"""Inputs that can be read only once, by one process: pipes and standard input. They are kept as files.

A job reads its text several times, in several processes and perhaps again in a year.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from continual_mt.errors import CorpusError, StorageError

_CHUNK = 1 << 20


def reads_once(path: Path) -> bool:
    """Whether a path is a pipe or device, or names an open file of this process, such as /dev/stdin or /dev/fd/63."""
    if path.parts[:3] in (("/", "dev", "stdin"), ("/", "dev", "fd")) or path.parts[:2] == ("/", "proc"):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def keep(path: Path, folder: Path) -> Path:
    """Read an input from end to end, and return the file in ``folder`` that has its bytes, named by their digest.

    Raises CorpusError if it cannot be read or has no content, and StorageError if the folder cannot be written to.
    """
    digest, size = hashlib.sha256(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            with (content := Path(partial) / "content").open("wb") as copy:
                for chunk in _chunks(path):
                    digest.update(chunk)
                    size += copy.write(chunk)
            if not size:
                problem = "no content; a pipe can be read only once. Fix: check the program that writes into it"
                raise CorpusError(path, problem)
            return content.replace(folder / f"pipe-{digest.hexdigest()[:32]}")
    except OSError as error:
        raise StorageError(f"{folder}: cannot keep {path} ({error.strerror or error})") from error


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise CorpusError(path, f"cannot be read ({error.strerror or error})") from error
