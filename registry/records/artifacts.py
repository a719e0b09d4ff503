"""The records of parents and modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from continual_mt.artifacts.parent_languages import ParentLanguages, Vocabularies, only_pair
from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn
from continual_mt.artifacts.stored.stored_precision import VALUE_BYTES, StoredPrecision
from continual_mt.errors import IncompatibleError
from continual_mt.languages import NewSide, Pair, SideName, ends_of
from continual_mt.model.scopes import Scope
from registry.records.lineage import Lineage
from registry.records.names import full_name
from registry.records.values import JSONObject


@dataclass(frozen=True)
class ParentOutline:
    """As much of a parent as recipes are made from."""

    name: str
    languages: ParentLanguages
    fingerprint: str

    @property
    def pair(self) -> Pair:
        """The pair of a parent of one pair. Raises IncompatibleError for a parent of several."""
        return only_pair(self.languages)


@dataclass(frozen=True)
class ParentRecord(ParentOutline):
    """A registered parent. ``pieces`` gives the blob of each of its files; ``bytes`` is their sum.

    ``precision`` is that of the stored weights.
    """

    architecture: JSONObject
    parameters: int
    bytes: int
    pieces: Mapping[str, str]
    lineage: Lineage
    created: datetime
    precision: StoredPrecision = "float32"

    @property
    def vocabularies(self) -> Vocabularies:
        """Whether the languages of an end share its vocabulary and its embeddings, or each has its own."""
        return "shared" if "source.model" in self.pieces else "own"

    def part(self, end: SideName, language: str) -> str:
        """The name, without ending, of the two pieces that hold a language's embeddings and its tokenizer."""
        return end if self.vocabularies == "shared" else f"{end}.{language}"

    def to_json(self) -> JSONObject:
        return {
            "name": self.name,
            "pair": str(self.languages),
            "sources": list(self.languages.tags("source")),
            "targets": list(self.languages.tags("target")),
            "denoising": self.languages.denoising,
            "fingerprint": self.fingerprint,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "precision": self.precision,
            "vocabularies": self.vocabularies,
            "pieces": dict(self.pieces),
            "lineage": self.lineage.to_json(),
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True)
class ModuleOutline:
    """As much of a module as recipes are made from. ``digest`` is its content's; ``side`` is the side that is new.

    ``rests_on`` are the modules that it was trained against; modules of a parent are numbered by ``place`` as they were
    registered.
    """

    parent: str
    pair: Pair
    version: int
    side: NewSide
    scope: Scope
    digest: str
    rests_on: RestsOn[ModuleKey] = field(default=PARENT_ALONE, kw_only=True)
    place: int = field(default=0, kw_only=True, compare=False)

    @property
    def full_name(self) -> str:
        return full_name(self.parent, self.pair.source, self.pair.target, self.version)

    @property
    def is_bridge(self) -> bool:
        """Whether it brings no language, but connects two that exist."""
        return self.side == "none"

    @property
    def new_sides(self) -> str:
        """What the module brings, as text: ``source de``, ``source de and target fr``, or ``no side (a bridge)``."""
        sides = [f"{end} {self.pair.language(end)}" for end in ends_of(self.side)]
        return " and ".join(sides) or "no side (a bridge)"

    @property
    def language(self) -> str:
        """The new language; of two, that of the source. Raises IncompatibleError for a bridge, which brings none."""
        if self.is_bridge:
            raise IncompatibleError(f"{self.full_name} is a bridge, which brings no language")
        return self.pair.language(ends_of(self.side)[0])

    def brings(self, end: SideName) -> str | None:
        """The language that the module brings on a side, if any."""
        return self.pair.language(end) if end in ends_of(self.side) else None

    @property
    def key(self) -> ModuleKey:
        return ModuleKey(self.full_name, self.digest)


@dataclass(frozen=True)
class ModuleRecord(ModuleOutline):
    """A registered module. ``precision`` is that of the stored weights, and need not be its parent's."""

    parent_fingerprint: str
    parameters: int
    bytes: int
    pieces: Mapping[str, str]
    lineage: Lineage
    created: datetime
    precision: StoredPrecision = "float32"

    @property
    def shared(self) -> bool:
        """Whether it went on with another module's cross-attention, or earlier pairs were replayed while it trained.

        Such a module belongs to a sequence that shares one cross-attention, and is taken only where it is named.
        """
        return self.lineage.shared

    @property
    def initialisation(self) -> str:
        """How its embeddings started: ``lexical``, ``shared`` or ``random``, which all did before there were others."""
        return str(self.lineage.spec.get("initialisation") or "random")

    @property
    def untrained(self) -> bool:
        """Whether it was registered as it started, without an update."""
        training = self.lineage.spec.get("training")
        return isinstance(training, dict) and training.get("updates") == 0

    def to_json(self) -> JSONObject:
        return {
            "name": self.full_name,
            "parent": self.parent,
            "parent_fingerprint": self.parent_fingerprint,
            "pair": str(self.pair),
            "version": self.version,
            "side": self.side,
            "scope": self.scope,
            "rests_on": {part: key.name for part, key in self.rests_on.items()},
            "shared": self.shared,
            "digest": self.digest,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "precision": self.precision,
            "pieces": dict(self.pieces),
            "lineage": self.lineage.to_json(),
            "created": self.created.isoformat(),
        }


def bytes_in(record: ParentRecord | ModuleRecord, precision: StoredPrecision) -> int:
    """The bytes that a parent or module would have in another precision, to compare sizes in equal ones.

    The descriptions of the weights in their files may differ by some bytes, which are not counted. Neither are int8's
    scales of rows and the second byte of its values in bfloat16: about a hundredth of the bytes at a width of 256.
    """
    return record.bytes + record.parameters * (VALUE_BYTES[precision] - VALUE_BYTES[record.precision])
