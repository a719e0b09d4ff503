"""The files of a tokenized corpus: NumPy arrays, written in chunks, and a summary with their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from continual_mt.errors import CorruptionError

SIDES = ("source", "target")
SUMMARY = "summary.json"
_ARRAYS = tuple(f"{side}{kind}.npy" for side in SIDES for kind in ("", "_offsets"))

Chunk = tuple[list[list[int]], list[list[int]]]
"""Token sequences of the source and of the target, equally many."""


@dataclass(frozen=True)
class Skipped:
    """Sentence pairs that were skipped: counts by reason, and descriptions of the first three."""

    empty: int
    too_long: int
    first: tuple[str, ...]


def write_arrays(chunks: Iterable[Chunk], vocabularies: tuple[int, int], folder: Path) -> dict[str, str]:
    """Write chunks to the array files of a folder, in constant memory.

    ``vocabularies`` are the sizes of the source and the target vocabulary. Returns the SHA-256 of each file by name.
    """
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("wb")) for name in _ARRAYS]
        source = _SideFiles(files[0], files[1], vocabularies[0])
        target = _SideFiles(files[2], files[3], vocabularies[1])
        for sources, targets in chunks:
            source.append(sources)
            target.append(targets)
        source.close()
        target.close()
    return {name: _file_digest(folder / name) for name in _ARRAYS}


def write_summary(folder: Path, skipped: Skipped, digests: dict[str, str]) -> None:
    content = {"skipped": asdict(skipped), "digests": digests}
    (folder / SUMMARY).write_text(json.dumps(content), encoding="utf-8")


def read_summary(folder: Path) -> Skipped:
    """Read the summary and verify all files. Raises CorruptionError if the folder or a file is missing or damaged."""
    try:
        content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        skipped = Skipped(
            content["skipped"]["empty"], content["skipped"]["too_long"], tuple(content["skipped"]["first"])
        )
        damaged = [name for name in _ARRAYS if _file_digest(folder / name) != content["digests"][name]]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError) as error:
        raise CorruptionError(f"{folder}: incomplete token arrays ({error})") from error
    if damaged:
        raise CorruptionError(f"{folder}: modified after they were written: {', '.join(damaged)}")
    return skipped


def map_ids(folder: Path, side: str) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
    """Map the token ids of one side into memory: all sequences, one after another."""
    ids: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
    ids = np.load(folder / f"{side}.npy", mmap_mode="r", allow_pickle=False)
    return ids


def map_offsets(folder: Path, side: str) -> npt.NDArray[np.int64]:
    """Map the offsets (sequences + 1,) into memory: sequence i is ``ids[offsets[i] : offsets[i + 1]]``."""
    offsets: npt.NDArray[np.int64] = np.load(folder / f"{side}_offsets.npy", mmap_mode="r", allow_pickle=False)
    return offsets


class _ArrayFile:
    """A one-dimensional .npy file to append to.

    NumPy pads the header, so the header with the final length fits into the space of the first one.
    """

    def __init__(self, file: BinaryIO, dtype: npt.DTypeLike) -> None:
        self._file, self._dtype, self.length = file, np.dtype(dtype), 0
        self._write_header()

    def append(self, values: npt.ArrayLike) -> None:
        array = np.asarray(values, dtype=self._dtype)
        self._file.write(array.tobytes())
        self.length += len(array)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        description = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, description)


class _SideFiles:
    """The ids and the offsets of one side."""

    def __init__(self, ids: BinaryIO, offsets: BinaryIO, vocabulary: int) -> None:
        self._ids = _ArrayFile(ids, np.uint16 if vocabulary <= 1 << 16 else np.uint32)
        self._offsets = _ArrayFile(offsets, np.int64)
        self._offsets.append([0])

    def append(self, sequences: list[list[int]]) -> None:
        ends = self._ids.length + np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64)
        self._offsets.append(ends)
        self._ids.append([number for sequence in sequences for number in sequence])

    def close(self) -> None:
        self._ids.close()
        self._offsets.close()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
