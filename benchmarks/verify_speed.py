"""The speed of ``verify`` on a registry's blobs, compared with plain hashing and plain reading of the same files.

Files are dropped from the page cache before each pass, so that they are read from disk. As a program, the module
verifies the registry in a folder and prints its time in seconds and the growth of its memory in megabytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.tools.measure import peak_memory_mb
from registry import Registry
from registry.maintenance.verify import verify

BLOB_BYTES = 8_000_000
_CHUNK = 1 << 20


def measure_verify(gigabytes: float) -> dict[str, float]:
    """Measure on so many gigabytes of blobs, each as large as a module's embeddings; returns figures by name."""
    with tempfile.TemporaryDirectory() as folder:
        with Registry.open(folder, create=True) as registry:
            for _ in range(round(gigabytes * 1e9 / BLOB_BYTES)):
                registry.blobs.put(os.urandom(BLOB_BYTES))
        files = [path for path in Path(folder, "blobs").rglob("*") if path.is_file()]
        bytes_ = sum(path.stat().st_size for path in files)
        reading = _timed(files, lambda: _read_all(files))
        hashing = _timed(files, lambda: _hash_all(files))
        _drop_from_page_cache(files)
        command = [sys.executable, "-m", "benchmarks.verify_speed", folder]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        "GB": bytes_ / 1e9,
        "MB/s, verify": bytes_ / 1e6 / answer["seconds"],
        "MB/s, hashing in one thread": bytes_ / 1e6 / hashing,
        "MB/s, reading in one thread": bytes_ / 1e6 / reading,
        "verify / hashing": hashing / answer["seconds"],
        "MB that verify's memory grew by": answer["megabytes"],
    }


def _timed(files: Iterable[Path], work: Callable[[], None]) -> float:
    _drop_from_page_cache(files)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _drop_from_page_cache(files: Iterable[Path]) -> None:
    """Drop files from the page cache, on systems that support it."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_all(files: Iterable[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            while file.read(_CHUNK):
                pass


def _hash_all(files: Iterable[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def main() -> None:
    with Registry.open(sys.argv[1]) as registry:
        before, started = peak_memory_mb(), time.perf_counter()
        report = verify(registry)
        seconds = time.perf_counter() - started
    assert not report.problems
    print(json.dumps({"seconds": seconds, "megabytes": peak_memory_mb() - before}))


if __name__ == "__main__":
    main()
