"""The cache folders of a process that may be on another machine than the driver."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from continual_mt.errors import StorageError


def usable_folder(folder: Path) -> Path:
    """Return a cache folder of the driver if this machine has it or can make it, else one in its temporary folder.

    Raises StorageError if that cannot be made, or belongs to another user.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    own = Path(tempfile.gettempdir()) / f"continual-mt-cache-{os.getuid()}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        if own.stat().st_uid != os.getuid():
            raise StorageError(f"{own}: belongs to another user. Fix: remove it, or make {folder} writable there")
        (own / folder.name).mkdir(exist_ok=True)
    except OSError as error:
        problem = f"cannot be made on a machine of the cluster, nor can {own} ({error.strerror or error})"
        raise StorageError(f"{folder}: {problem}. Fix: make one of them writable there") from error
    return own / folder.name
