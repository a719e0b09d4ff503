"""Where tests keep what they throw away: in memory where there is enough of it, since a disk waits for every fsync."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 2 << 30


def scratch() -> Path:
    """The folder to make temporary folders in; ``TMPDIR`` beats memory."""
    fits = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH_BYTES
    return MEMORY if fits and "TMPDIR" not in os.environ else Path(tempfile.gettempdir())
