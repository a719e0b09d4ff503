"""The records of lineage: what something was made from, and what depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.records.entities import JSONObject, ModuleRecord, ParentRecord


@dataclass(frozen=True)
class Relation:
    """Something that a parent or module was made from, or that depends on it.

    ``role`` says what it is: parent, start (the module that it went on from), replayed, train, dev, test, job, run; or
    alias, module, sequence, alignment, recipe. What ``holds`` keeps a thing from being deleted.
    """

    role: str
    name: str
    detail: str = ""
    holds: bool = False

    def to_json(self) -> JSONObject:
        return {"role": self.role, "name": self.name, "detail": self.detail, "holds": self.holds}


@dataclass(frozen=True)
class Relations:
    """The lineage of a parent or module, both ways."""

    name: str
    made_from: tuple[Relation, ...]
    dependents: tuple[Relation, ...]

    def to_json(self) -> JSONObject:
        return {
            "name": self.name,
            "made_from": [relation.to_json() for relation in self.made_from],
            "dependents": [relation.to_json() for relation in self.dependents],
        }


def made_from(record: ParentRecord | ModuleRecord) -> tuple[Relation, ...]:
    """Parent, modules that it went on from or replayed, corpora with their licences, job and run."""
    return tuple(_made_from(record))


def _made_from(record: ParentRecord | ModuleRecord) -> Iterator[Relation]:
    lineage = record.lineage
    if isinstance(record, ModuleRecord):
        yield Relation("parent", record.parent, record.parent_fingerprint)
        for role, name in modules_in(lineage.spec):
            if name != record.parent:
                yield Relation(role, name)
    for role, corpus in lineage.corpora:
        yield Relation(role, corpus.name, f"{corpus.pair}, {corpus.sentences:,} sentences, {corpus.licence}")
    if lineage.job is not None:
        yield Relation("job", lineage.job, f"attempt {lineage.attempt}")
    if lineage.run is not None:
        yield Relation("run", lineage.run)


def modules_in(spec: JSONObject) -> list[tuple[str, str]]:
    """What a spec says that training went on from and replayed, by full name; the parent's own pair by its name."""
    start, replayed = spec.get("start"), spec.get("replayed")
    found = [("start", start)] if isinstance(start, str) else []
    return found + [
        ("replayed", name) for name in (replayed if isinstance(replayed, list) else []) if isinstance(name, str)
    ]
