"""What the registry hands out: frozen records, each with ``to_json()``. Records know nothing of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Scope
from registry.records.names import full_name

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]
JSONObject = dict[str, JSON]

Role = Literal["train", "dev", "test"]
JobState = Literal["running", "finished", "failed", "stopped"]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class CorpusRecord:
    """A parallel corpus by content. ``sentences`` counts pairs kept, ``skipped`` those left out.

    ``sources`` and ``references`` are the blobs that hold a test set's text, a line a sentence; None of other corpora.
    """

    digest: str
    pair: Pair
    name: str
    sentences: int
    skipped: int
    licence: str
    sources: str | None = None
    references: str | None = None

    def to_json(self) -> JSONObject:
        return {
            "digest": self.digest,
            "pair": str(self.pair),
            "name": self.name,
            "sentences": self.sentences,
            "skipped": self.skipped,
            "licence": self.licence,
            "sources": self.sources,
            "references": self.references,
        }


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


def is_shared(spec: JSONObject) -> bool:
    """Whether a module that was trained by this spec belongs to a sequence that shares one cross-attention."""
    return not {"start", "replay"}.isdisjoint(spec)


@dataclass(frozen=True)
class ParentOutline:
    """As much of a parent as recipes are made from."""

    name: str
    pair: Pair
    fingerprint: str


@dataclass(frozen=True)
class ParentRecord(ParentOutline):
    """A registered parent. ``pieces`` gives the blob of each of its files; ``bytes`` is their sum."""

    architecture: JSONObject
    parameters: int
    bytes: int
    pieces: Mapping[str, str]
    lineage: Lineage
    created: datetime

    def to_json(self) -> JSONObject:
        return {
            "name": self.name,
            "pair": str(self.pair),
            "fingerprint": self.fingerprint,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "pieces": dict(self.pieces),
            "lineage": self.lineage.to_json(),
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True)
class ModuleOutline:
    """As much of a module as recipes are made from. ``digest`` is its content's; ``side`` is the side that is new."""

    parent: str
    pair: Pair
    version: int
    side: SideName
    scope: Scope
    digest: str

    @property
    def full_name(self) -> str:
        return full_name(self.parent, self.pair.source, self.pair.target, self.version)

    @property
    def language(self) -> str:
        """The language that the module brings."""
        return self.pair.language(self.side)

    @property
    def key(self) -> ModuleKey:
        return ModuleKey(self.full_name, self.digest)


@dataclass(frozen=True)
class ModuleRecord(ModuleOutline):
    """A registered module."""

    parent_fingerprint: str
    parameters: int
    bytes: int
    pieces: Mapping[str, str]
    lineage: Lineage
    created: datetime

    @property
    def shared(self) -> bool:
        """Whether it went on with another module's cross-attention, or earlier pairs were replayed while it trained.

        Such a module belongs to a sequence that shares one cross-attention, and is taken only where it is named.
        """
        return is_shared(self.lineage.spec)

    def to_json(self) -> JSONObject:
        return {
            "name": self.full_name,
            "parent": self.parent,
            "parent_fingerprint": self.parent_fingerprint,
            "pair": str(self.pair),
            "version": self.version,
            "side": self.side,
            "scope": self.scope,
            "shared": self.shared,
            "digest": self.digest,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "pieces": dict(self.pieces),
            "lineage": self.lineage.to_json(),
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """Recipe × test set × metric. ``metric`` is in small letters: ``bleu``, ``chrf``.

    ``recipe`` is the recipe's digest; ``copy_value`` is the same metric when the source is copied unchanged;
    ``source``, ``cross_attention`` and ``target`` name the recipe's modules, None for the parent's own piece.
    ``hypotheses`` is the blob that holds what was scored, a line a sentence.
    """

    parent: str
    kind: RecipeKind
    pair: Pair
    recipe: str
    source: str | None
    cross_attention: str | None
    target: str | None
    test: str
    test_digest: str
    metric: str
    value: float
    copy_value: float | None
    signature: str
    sentences: int
    beam: int
    hypotheses: str | None = None
    created: datetime = field(default_factory=now)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        *,
        test: str,
        test_digest: str,
        metric: str,
        value: float,
        copy_value: float | None,
        signature: str,
        sentences: int,
        beam: int,
        hypotheses: str | None = None,
    ) -> ScoreRecord:
        """The score that a recipe reached on a test set."""
        return cls(
            parent=recipe.parent,
            kind=recipe.kind,
            pair=recipe.pair,
            recipe=recipe.digest,
            source=recipe.source.name if recipe.source else None,
            cross_attention=recipe.cross_attention.name if recipe.cross_attention else None,
            target=recipe.target.name if recipe.target else None,
            test=test,
            test_digest=test_digest,
            metric=metric,
            value=value,
            copy_value=copy_value,
            signature=signature,
            sentences=sentences,
            beam=beam,
            hypotheses=hypotheses,
        )

    def to_json(self) -> JSONObject:
        return {
            "parent": self.parent,
            "kind": self.kind,
            "pair": str(self.pair),
            "recipe": self.recipe,
            "source": self.source,
            "cross_attention": self.cross_attention,
            "target": self.target,
            "test": self.test,
            "test_digest": self.test_digest,
            "metric": self.metric,
            "value": self.value,
            "copy_value": self.copy_value,
            "signature": self.signature,
            "sentences": self.sentences,
            "beam": self.beam,
            "hypotheses": self.hypotheses,
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True)
class JobRecord:
    """A job and the lease on it: ``holder`` may work on it until ``expires`` (UTC)."""

    digest: str
    kind: str
    state: JobState
    attempt: int
    holder: str | None
    expires: datetime | None
    run: str | None
    created: datetime
    updated: datetime

    def to_json(self) -> JSONObject:
        return {
            "digest": self.digest,
            "kind": self.kind,
            "state": self.state,
            "attempt": self.attempt,
            "holder": self.holder,
            "expires": self.expires.isoformat() if self.expires else None,
            "run": self.run,
            "created": self.created.isoformat(),
            "updated": self.updated.isoformat(),
        }
