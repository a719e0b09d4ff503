"""Annotations of parents and modules: aliases and their history, tags, notes, deletion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from continual_mt.languages import Pair
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.names import full_name
from registry.records.values import JSONObject


@dataclass(frozen=True)
class AliasRecord:
    """A name for one version of a pair."""

    parent: str
    pair: Pair
    alias: str
    version: int

    @property
    def full_name(self) -> str:
        return f"{self.parent}/{self.pair}@{self.alias}"

    @property
    def module(self) -> str:
        """The full name of the module that the alias is set to."""
        return full_name(self.parent, self.pair.source, self.pair.target, self.version)

    def to_json(self) -> JSONObject:
        return {"name": self.full_name, "module": self.module, "version": self.version}


@dataclass(frozen=True)
class AliasMove:
    """An alias was set (``from_version`` is None), moved, or removed (``to_version`` is None)."""

    parent: str
    pair: Pair
    alias: str
    from_version: int | None
    to_version: int | None
    who: str
    moment: datetime

    @property
    def full_name(self) -> str:
        return f"{self.parent}/{self.pair}@{self.alias}"

    def to_json(self) -> JSONObject:
        return {
            "alias": self.full_name,
            "from": self.from_version,
            "to": self.to_version,
            "who": self.who,
            "moment": self.moment.isoformat(),
        }


@dataclass(frozen=True)
class NoteRecord:
    text: str
    who: str
    moment: datetime

    def to_json(self) -> JSONObject:
        return {"text": self.text, "who": self.who, "moment": self.moment.isoformat()}


@dataclass(frozen=True)
class Annotations:
    """All annotations of a parent or module; ``moves`` are those of aliases to it and away from it, oldest first."""

    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[NoteRecord, ...] = ()
    moves: tuple[AliasMove, ...] = ()

    def to_json(self) -> JSONObject:
        return {
            "aliases": list(self.aliases),
            "tags": list(self.tags),
            "notes": [note.to_json() for note in self.notes],
            "moves": [move.to_json() for move in self.moves],
        }


@dataclass(frozen=True)
class Deletion:
    who: str
    moment: datetime

    def to_json(self) -> JSONObject:
        return {"who": self.who, "moment": self.moment.isoformat()}


@dataclass(frozen=True)
class Found:
    """A parent or module that a search found; ``bleu`` is its own pair's best.

    On the test set that was searched for, else on the one with the most sentences.
    """

    record: ParentRecord | ModuleRecord
    annotations: Annotations
    deletion: Deletion | None
    bleu: float | None = None

    @property
    def name(self) -> str:
        return self.record.name if isinstance(self.record, ParentRecord) else self.record.full_name

    def to_json(self) -> JSONObject:
        return {
            **self.record.to_json(),
            "kind": "parent" if isinstance(self.record, ParentRecord) else "module",
            **self.annotations.to_json(),
            "bleu": self.bleu,
            "deleted": self.deletion.to_json() if self.deletion else None,
        }


@dataclass(frozen=True)
class SearchResult:
    """The first of ``total`` that a search found: parents, then modules by parent, pair and version."""

    total: int
    found: tuple[Found, ...]

    def to_json(self) -> JSONObject:
        return {"total": self.total, "found": [one.to_json() for one in self.found]}
