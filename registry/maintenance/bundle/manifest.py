"""The manifest of a bundle: parents, modules with their lineage, scores, and the size of every blob."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)
from pydantic.types import AwareDatetime

from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.artifacts.rests_on import Part
from continual_mt.errors import ContinualMTError, CorruptionError
from continual_mt.languages import Pair, SideName
from registry.records.corpora import Role
from registry.records.lineage import InputRole
from registry.records.names import ModuleName, author, check_note, check_parent_name, check_tag, is_free_alias
from registry.records.scores import ScoreRecord

FORMATS = (1, 2)
MAXIMUM_BYTES = 64 << 20


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the range of years that can be represented") from error


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
LongText = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
PieceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z_]{1,40}(\.[A-Za-z0-9_]{1,35})?\.(safetensors|model|json)$")
]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Attempt = Annotated[int, Field(ge=1, lt=2**31)]
_Entry = TypeVar("_Entry", "ParentEntry", "ModuleEntry")


class Entry(BaseModel):
    """Values are not converted, and unknown keys are rejected."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class CorpusEntry(Entry):
    digest: Digest
    pair: Text
    name: Text
    sentences: Count
    skipped: Count
    licence: Text
    sources: Digest | None
    references: Digest | None


class NoteEntry(Entry):
    text: LongText
    who: Text
    moment: Moment


class InputEntry(Entry):
    """What an artifact was made from: see `registry.records.lineage.Input`. ``module`` is a name in the bundle."""

    role: InputRole
    module: Text | None
    digest: Digest | None
    recipe: Digest | None
    part: Part | None = None

    @model_serializer(mode="wrap")
    def _leave_out_no_part(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Older versions read a bundle in which nothing rests on another module."""
        return {key: value for key, value in write(self).items() if key != "part" or value is not None}


class ArtifactEntry(Entry):
    """What parents and modules share. ``pieces`` and ``corpora`` (in their roles) name blobs and corpora by digest.

    A parent without pieces must exist in the receiving registry. Format 1 has no ``inputs``, ``environment`` and
    ``replay``: see `registry.maintenance.bundle.format1`.
    """

    name: Text
    pieces: dict[PieceName, Digest]
    corpora: list[tuple[Role, Digest]]
    spec: dict[str, JsonValue]
    code_version: Text
    job: Digest | None
    attempt: Attempt
    run: Text | None
    created: Moment
    tags: list[Text]
    notes: list[NoteEntry]
    inputs: list[InputEntry] = []
    environment: dict[str, JsonValue] | None = None
    replay: float | None = None


class ParentEntry(ArtifactEntry):
    """``several`` are the ends on which it has several languages; bundles are written without the key if none has."""

    fingerprint: Digest
    several: list[SideName] = []


class ModuleEntry(ArtifactEntry):
    """``name`` is the full name in the registry that wrote the bundle, ``aliases`` are the module's aliases there."""

    digest: Digest
    aliases: list[Text]

    @property
    def parent(self) -> str:
        return self.name.partition("/")[0]


class ScoreEntry(Entry):
    """A score; ``source``, ``cross_attention`` and ``target`` are modules of the bundle by name."""

    parent: Text
    kind: RecipeKind
    pair: Text
    recipe: Digest
    source: Text | None
    cross_attention: Text | None
    target: Text | None
    test: Text
    test_digest: Digest
    metric: Text
    value: float
    copy_value: float | None
    signature: Text
    sentences: Count
    beam: Attempt
    hypotheses: Digest | None
    created: Moment
    logits: Digest | None = None
    computed_on: Text | None = None
    reference_value: float | None = None

    @classmethod
    def of(cls, record: ScoreRecord) -> ScoreEntry:
        values = {name: getattr(record, name) for name in cls.model_fields if name != "pair"}
        return cls(pair=str(record.pair), **values)


class Manifest(Entry):
    """All of it. Format 1 is written wherever it holds everything.

    ``blobs`` gives the size of each blob in bytes, and the bundle holds them in the order of their digests.
    """

    format: Literal[1, 2]
    created: Moment
    code_version: Text
    parents: list[ParentEntry]
    modules: list[ModuleEntry]
    corpora: list[CorpusEntry]
    scores: list[ScoreEntry]
    blobs: dict[Digest, Count]

    def referenced(self) -> set[str]:
        """The blobs that something in it refers to."""
        found = {digest for artifact in (*self.parents, *self.modules) for digest in artifact.pieces.values()}
        found.update(digest for corpus in self.corpora for digest in (corpus.sources, corpus.references) if digest)
        found.update(score.hypotheses for score in self.scores if score.hypotheses)
        return found


def read_manifest(content: bytes) -> Manifest:
    """Raises CorruptionError, naming the first thing at fault, unless all of it is as `registry export` writes it."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("format",):
            raise CorruptionError(f"unknown format; this version reads {' and '.join(map(str, FORMATS))}") from error
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the manifest"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise CorruptionError(f"{place}: {first['msg']}{more}") from error
    try:
        _check(manifest)
    except CorruptionError:
        raise
    except ContinualMTError as error:  # an invalid name or pair
        raise CorruptionError(str(error)) from error
    return manifest


def _check(manifest: Manifest) -> None:
    """Check that everything that is referred to is listed exactly once, and nothing else."""
    if manifest.format == 1:
        newer = [
            *(
                set(entry.model_fields_set) & {"inputs", "environment", "replay"}
                for entry in (*manifest.parents, *manifest.modules)
            ),
            *(set(score.model_fields_set) & {"logits", "computed_on"} for score in manifest.scores),
            *(set(entry.several) for entry in manifest.parents),
        ]
        _require(not any(newer), "it holds keys that format 1 does not have")
    parents = _by_name("parent", manifest.parents)
    modules = _by_name("module", manifest.modules)
    corpora = {corpus.digest for corpus in manifest.corpora}
    _require(len(corpora) == len(manifest.corpora), "a corpus is listed twice")
    _require(manifest.referenced() == manifest.blobs.keys(), "the blobs are not those that are referred to")
    for name in parents:
        check_parent_name(name)
    for name, module in modules.items():
        parsed = ModuleName.parse(name)
        _require(parsed.version is not None and name == f"{parsed.parent}/{parsed.pair}:{parsed.version}", name)
        _require(module.parent in parents, f"the parent of {name} is not in it")
        for alias in module.aliases:
            _require(is_free_alias(alias), f"{alias[:40]!a} is no alias")
    for artifact in (*manifest.parents, *manifest.modules):
        _check_artifact(artifact, corpora)
    for corpus in manifest.corpora:
        _require(str(Pair.parse(corpus.pair)) == corpus.pair, f"{corpus.pair} is not how the pair is written")
    for score in manifest.scores:
        _check_score(score, parents, modules)


def _check_artifact(artifact: ArtifactEntry, corpora: set[str]) -> None:
    """What a user may say of a parent or module is held to the same rules."""
    for _, digest in artifact.corpora:
        _require(digest in corpora, f"a corpus of {artifact.name} is not in it")
    _require(
        _is_finite([artifact.spec, artifact.environment]),
        f"the spec of {artifact.name} holds a number that is not finite",
    )
    for tag in artifact.tags:
        check_tag(tag)
    for note in artifact.notes:
        check_note(note.text)
        author(note.who)


def _is_finite(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _by_name(kind: str, entries: list[_Entry]) -> dict[str, _Entry]:
    named = {entry.name: entry for entry in entries}
    _require(len(named) == len(entries), f"a {kind} is listed twice")
    return named


def _check_score(score: ScoreEntry, parents: dict[str, ParentEntry], modules: dict[str, ModuleEntry]) -> None:
    """Check that a score's recipe has the digest that it names."""
    _require(score.parent in parents, f"a score is of the parent {score.parent}, which is not in it")
    keys = []
    for name in (score.source, score.cross_attention, score.target):
        _require(name is None or name in modules, f"a score is of the module {name}, which is not in it")
        keys.append(None if name is None else ModuleKey(name, modules[name].digest))
    owner = parents[score.parent]
    recipe = Recipe(
        score.kind, Pair.parse(score.pair), score.parent, owner.fingerprint, *keys, several=tuple(owner.several)
    )
    _require(recipe.digest == score.recipe, f"a score of {score.pair} is not of the recipe that it names")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise CorruptionError(problem)
