"""Lineage: what a parent or module was made from, and what depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from registry.records.corpora import CorpusRecord, Role
from registry.records.values import JSONObject


@dataclass(frozen=True)
class Lineage:
    """What something was made from. ``job`` and ``attempt`` are registered once; ``run`` is MLflow's."""

    corpora: tuple[tuple[Role, CorpusRecord], ...]
    spec: JSONObject
    code_version: str
    job: str | None = None
    attempt: int = 1
    run: str | None = None

    def to_json(self) -> JSONObject:
        return {
            "corpora": [{"role": role, **corpus.to_json()} for role, corpus in self.corpora],
            "spec": self.spec,
            "code_version": self.code_version,
            "job": self.job,
            "attempt": self.attempt,
            "run": self.run,
        }


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


def modules_in(spec: JSONObject) -> list[tuple[str, str]]:
    """What a spec says that training went on from and replayed, by full name; the parent's own pair by its name."""
    start, replayed = spec.get("start"), spec.get("replayed")
    found = [("start", start)] if isinstance(start, str) else []
    return found + [
        ("replayed", name) for name in (replayed if isinstance(replayed, list) else []) if isinstance(name, str)
    ]


def is_shared(spec: JSONObject) -> bool:
    """Whether a module that was trained by this spec belongs to a sequence that shares one cross-attention."""
    return not {"start", "replay"}.isdisjoint(spec)
