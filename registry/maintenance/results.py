"""Results of maintenance as plain records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from registry.blobs import Leftover, StoredBlob
from registry.records.values import JSONObject

Progress = Callable[[int], None]
"""Called with the number of blobs that are done."""

ProblemKind = Literal["damaged", "unreadable", "missing", "record"]


@dataclass(frozen=True)
class Problem:
    """A problem with a blob or a record. ``needed_by`` describes what cannot be used because of it.

    ``aside`` is where a damaged blob was moved to, now or by an earlier look.
    """

    kind: ProblemKind
    subject: str
    explanation: str
    needed_by: tuple[str, ...] = ()
    aside: str | None = None

    def to_json(self) -> JSONObject:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "explanation": self.explanation,
            "needed_by": list(self.needed_by),
            "aside": self.aside,
        }


@dataclass(frozen=True)
class Verification:
    """Only ``problems`` are errors. No record refers to ``orphans``; ``gone`` names modules that were removed.

    ``copies_dropped`` counts damaged copies in the cache of a remote store, which are fetched again when needed.
    """

    blobs: int
    bytes: int
    problems: tuple[Problem, ...]
    orphans: tuple[StoredBlob, ...]
    leftovers: tuple[Leftover, ...]
    gone: tuple[str, ...]
    copies_dropped: int = 0

    def to_json(self) -> JSONObject:
        return {
            "blobs": self.blobs,
            "bytes": self.bytes,
            "problems": [problem.to_json() for problem in self.problems],
            "orphans": [{"digest": blob.digest, "bytes": blob.bytes} for blob in self.orphans],
            "leftovers": [{"place": leftover.place, "bytes": leftover.bytes} for leftover in self.leftovers],
            "gone": list(self.gone),
            "copies_dropped": self.copies_dropped,
        }


@dataclass(frozen=True)
class Collection:
    """What was removed for good, or would be. ``young`` counts unneeded blobs that the grace period keeps.

    ``forgotten`` names deleted parents and modules with their size, ``kept`` those that something still needs.
    """

    blobs: tuple[StoredBlob, ...]
    leftovers: tuple[Leftover, ...]
    young: int
    forgotten: tuple[tuple[str, int], ...]
    kept: tuple[str, ...]

    @property
    def bytes(self) -> int:
        return sum(blob.bytes for blob in self.blobs) + sum(leftover.bytes for leftover in self.leftovers)

    def to_json(self) -> JSONObject:
        return {
            "blobs": [{"digest": blob.digest, "bytes": blob.bytes} for blob in self.blobs],
            "leftovers": [{"place": leftover.place, "bytes": leftover.bytes} for leftover in self.leftovers],
            "bytes": self.bytes,
            "young": self.young,
            "forgotten": [{"name": name, "bytes": size} for name, size in self.forgotten],
            "kept": list(self.kept),
        }


@dataclass(frozen=True)
class Copied:
    """How many records and blobs were copied; blobs that existed already are not counted."""

    records: int
    blobs: int
    bytes: int
    there: int

    def to_json(self) -> JSONObject:
        return {"records": self.records, "blobs": self.blobs, "bytes": self.bytes, "blobs_there_already": self.there}
