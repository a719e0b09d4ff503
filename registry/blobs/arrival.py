"""Notes that a file of a folder was hashed when it arrived, so that it is not hashed at each load.

A note is a small file beside the blob, with the blob's length, its time of writing and its inode number. It is valid
while all are as noted: a blob that was written to, cut, exchanged or copied since is hashed again. The device is not
noted, since machines that share a folder may number it differently.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

SUFFIX = ".noted"
_SETTLED_SECONDS = 2
"""A file that was written to so recently may be written to again at the same time of its file system's clock."""


def is_noted(path: Path, status: os.stat_result) -> bool:
    """Return whether a blob has been hashed since it was last written to. ``status`` is that of the blob's file."""
    try:
        return _note(path).read_bytes() == _described(status)
    except OSError:
        return False


def note_arrival(path: Path) -> None:
    """Note that a new blob was hashed as it was written, and set its time of writing to now."""
    with suppress(OSError):  # it is hashed at the next load
        # More exact than the time that a file system sets: any later write gives another one.
        now = time.time_ns()
        os.utime(path, ns=(now, now))
        _write(path, path.stat())


def note_hashed(path: Path, status: os.stat_result) -> None:
    """Note that a blob, which had this status before, was hashed."""
    if time.time() - status.st_mtime > _SETTLED_SECONDS:
        with suppress(OSError):  # others may own the folder
            _write(path, status)


def forget(path: Path) -> None:
    """Remove the note of a blob."""
    with suppress(OSError):  # missing, or others own the folder
        _note(path).unlink()


def is_orphan(path: Path) -> bool:
    """Return whether a file is the note of a blob that is not there."""
    return path.suffix == SUFFIX and not path.with_suffix("").exists()


def _note(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _described(status: os.stat_result) -> bytes:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}".encode()


def _write(path: Path, status: os.stat_result) -> None:
    # Renamed, so that no reader sees half of it. It is not made durable: without it, the blob is hashed.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-note-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(_described(status))
        Path(temporary).replace(_note(path))
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
