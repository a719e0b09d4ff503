"""Lineage: what a parent or module was made from, and what depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.artifacts.rests_on import Part, RestsOn
from continual_mt.config.import_spec import ImportSpec
from registry.records.corpora import CorpusRecord, Role
from registry.records.values import JSONObject

InputRole = Literal[
    "start", "replayed", "rests-on", "initialised-from", "translated-by", "quantised-from", "trained-through"
]
INPUT_WORDS: dict[InputRole, str] = {
    "start": "went on from it",
    "replayed": "replayed it",
    "rests-on": "rests on it",
    "initialised-from": "was initialised from it",
    "translated-by": "was trained on its translations",
    "quantised-from": "was converted from it",
    "trained-through": "was trained through it",
}
"""What a module did with each of its inputs."""


@dataclass(frozen=True)
class Input:
    """A parent, module or recipe that something was made from.

    ``start`` is the module whose cross-attention training went on with, ``replayed`` a module (or the parent) whose
    pair was replayed while it trained. ``module`` is a module's full name or a parent's name, None where only
    ``recipe`` is given. ``digest`` is the content's (a module's digest, a parent's fingerprint), None where it is not
    known, and ``recipe`` a recipe's digest. ``part`` is what of a module it ``rests-on``, None for other roles.
    """

    role: InputRole
    module: str | None
    digest: str | None = None
    recipe: str | None = None
    part: Part | None = None

    def to_json(self) -> JSONObject:
        part: JSONObject = {"part": self.part} if self.part else {}
        return {"role": self.role, "module": self.module, "digest": self.digest, "recipe": self.recipe, **part}


@dataclass(frozen=True)
class Lineage:
    """What something was made from. ``job`` and ``attempt`` are registered once; ``run`` is MLflow's.

    ``environment`` holds versions and settings of the machine that trained it, None where they were not recorded.
    ``replay`` is the share of batches that came from replayed pairs, None without replay.
    """

    corpora: tuple[tuple[Role, CorpusRecord], ...]
    spec: JSONObject
    code_version: str
    job: str | None = None
    attempt: int = 1
    run: str | None = None
    inputs: tuple[Input, ...] = ()
    environment: JSONObject | None = None
    replay: float | None = None

    @property
    def shared(self) -> bool:
        """Whether it went on with another module's cross-attention, or earlier pairs were replayed while it trained."""
        return self.replay is not None or any(one.role in ("start", "replayed") for one in self.inputs)

    @property
    def imported(self) -> ImportSpec | None:
        """What was imported from another project, None for what was trained here."""
        return ImportSpec.of(self.spec)

    @property
    def rests_on(self) -> RestsOn[ModuleKey]:
        """The modules that an addition was trained against in place of its parent's parts."""
        return rests_on(self.inputs)

    def named(self, role: InputRole) -> tuple[Input, ...]:
        """The inputs of one role, in order."""
        return tuple(one for one in self.inputs if one.role == role)

    def to_json(self) -> JSONObject:
        return {
            "corpora": [{"role": role, **corpus.to_json()} for role, corpus in self.corpora],
            "spec": self.spec,
            "inputs": [one.to_json() for one in self.inputs],
            "replay": self.replay,
            "environment": self.environment,
            "code_version": self.code_version,
            "job": self.job,
            "attempt": self.attempt,
            "run": self.run,
        }


def rests_on(inputs: Iterable[Input]) -> RestsOn[ModuleKey]:
    """Return what an addition with these inputs rests on."""
    parts = {
        one.part: ModuleKey(one.module, one.digest)
        for one in inputs
        if one.part is not None and one.module is not None and one.digest is not None
    }
    return RestsOn(**parts)


def inputs_resting_on(parts: RestsOn[ModuleKey]) -> tuple[Input, ...]:
    """Return the inputs of an addition that rests on these modules."""
    return tuple(Input("rests-on", key.name, key.digest, part=part) for part, key in parts.items())


@dataclass(frozen=True)
class Relation:
    """Something that a parent or module was made from, or that depends on it.

    ``role`` is one of parent, imported from, the role of an `Input`, train, dev, test, job, run; or
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
