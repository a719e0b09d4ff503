"""The records of a bundle that was checked and stored, written into a registry under the names that they have there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.artifacts.rests_on import RestsOn
from continual_mt.artifacts.stored.optional_pieces import WORD_TRANSLATIONS
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.errors import IncompatibleError
from continual_mt.languages import NewSide, Pair, SideName, ends_of
from continual_mt.model.scopes import Scope
from registry.database import schema
from registry.maintenance.bundle.manifest import (
    ArtifactEntry,
    InputEntry,
    Manifest,
    ModuleEntry,
    ParentEntry,
    ScoreEntry,
)
from registry.queries.catalog import find_parent, name_of
from registry.records.corpora import CorpusRecord
from registry.records.lineage import Input, Lineage
from registry.records.scores import ScoreRecord
from registry.records.values import JSONObject, now
from registry.writes import registration, scoring
from registry.writes.registration import StoredPiece

State = Literal["imported", "there already", "there, deleted"]
IMPORTER = "import"


@dataclass(frozen=True)
class ParentContent:
    """What a parent's pieces say of it."""

    languages: ParentLanguages
    architecture: JSONObject
    parameters: int
    precision: StoredPrecision


@dataclass(frozen=True)
class ModuleContent:
    """What a module's pieces say of it."""

    pair: Pair
    side: NewSide
    scope: Scope
    digest: str
    rests_on: RestsOn[str]
    parameters: int
    precision: StoredPrecision


@dataclass(frozen=True)
class Contents:
    """Of all parents and modules, by their names in the bundle."""

    parents: Mapping[str, ParentContent]
    modules: Mapping[str, ModuleContent]


@dataclass(frozen=True)
class Imported:
    """The result of an import: for each parent and module its name in the bundle, its name here, and its state.

    ``scores`` is the number of new scores.
    """

    artifacts: tuple[tuple[str, str, State], ...]
    scores: int

    def to_json(self) -> JSONObject:
        return {
            "artifacts": [{"from": old, "name": new, "state": state} for old, new, state in self.artifacts],
            "scores": self.scores,
        }


def impossible_score(manifest: Manifest, contents: Contents) -> ScoreEntry | None:
    """Return the first score whose recipe's parts do not match its kind and pair; None if all match."""
    for score in manifest.scores:
        source, cross_attention, target = (
            None if name is None else contents.modules[name]
            for name in (score.source, score.cross_attention, score.target)
        )
        used = [module for module in (source, cross_attention, target) if module is not None]
        pair, languages = Pair.parse(score.pair), contents.parents[score.parent].languages
        possible = {
            "original": pair in languages and not used,
            "supervised": _is_trained_on(used, pair),
            "bridge": cross_attention is not None and cross_attention.pair == pair and cross_attention.side == "none",
            "zero-shot": bool(used)
            and _brings(source, "source", pair, languages)
            and _brings(target, "target", pair, languages),
            "retention": pair in languages or any(module.pair == pair for module in used),
            "pivot": False,  # bundles carry no scores of pivots
        }
        if not possible[score.kind]:
            return score
    return None


def _is_trained_on(used: Sequence[ModuleContent], pair: Pair) -> bool:
    """Whether a recipe consists of a module that was trained on the pair, and of those that it rests on."""
    own = next((module for module in used if module.pair == pair and module.side != "none"), None)
    return own is not None and all(module is own or module.digest in own.rests_on.modules for module in used)


def _brings(module: ModuleContent | None, end: SideName, pair: Pair, languages: ParentLanguages) -> bool:
    """Whether the language of an end is new with this module, or the parent's own and no module is named."""
    if module is None or end not in ends_of(module.side):
        return languages.side(end, pair.language(end)) is not None
    return module.pair.language(end) == pair.language(end)


def receive(session: Session, manifest: Manifest, contents: Contents, parent: str | None) -> Imported:
    """Write what is missing; ``parent`` is the name for a new parent.

    Raises IncompatibleError for a parent's name that belongs to another one, and for a parent that is deleted here.
    """
    receiver = _Receiver(session, manifest, contents)
    registration.note_blobs(session, manifest.blobs)
    artifacts = [receiver.parent(entry, parent or entry.name) for entry in manifest.parents]
    in_order = sorted(manifest.modules, key=lambda entry: (entry.parent, _version(entry)))
    artifacts += [receiver.module(entry) for entry in in_order]
    receiver.name_inputs()
    for corpus in receiver.corpora.values():
        registration.add_corpus(session, corpus)
    return Imported(tuple(artifacts), sum(map(receiver.score, manifest.scores)))


class _Receiver:
    """Remembers which row each parent and module of the bundle has here."""

    def __init__(self, session: Session, manifest: Manifest, contents: Contents) -> None:
        self._session, self._manifest, self._contents = session, manifest, contents
        self._parents: dict[str, schema.Parent] = {}
        self._modules: dict[str, schema.Module] = {}
        self._written: list[tuple[schema.Parent | schema.Module, ArtifactEntry]] = []
        self.corpora = {
            entry.digest: CorpusRecord(**{**entry.model_dump(), "pair": Pair.parse(entry.pair)})
            for entry in manifest.corpora
        }

    def parent(self, entry: ParentEntry, name: str) -> tuple[str, str, State]:
        row = registration.of_fingerprint(self._session, entry.fingerprint)
        state: State = "there already"
        if row is not None and row.deleted:
            raise IncompatibleError(
                f"the parent {entry.name} is here, as {row.name}, but was deleted; restore it, then import again"
            )
        if row is None:
            if not entry.pieces:
                raise IncompatibleError(
                    f"the parent {entry.name}, without which the bundle was written, was removed meanwhile; "
                    "import a bundle that has it"
                )
            if taken := find_parent(self._session, name):
                raise IncompatibleError(
                    f"there is a parent {name} here already, with other content ({taken.fingerprint[:12]}, not "
                    f"{entry.fingerprint[:12]}); give the one of the bundle another name with --parent"
                )
            content = self._contents.parents[entry.name]
            row = schema.Parent(
                name=name,
                fingerprint=entry.fingerprint,
                architecture=content.architecture,
                parameters=content.parameters,
                precision=content.precision,
                denoising=content.languages.denoising,
                sides=registration.parent_sides(content.languages),
            )
            self._write(row, entry)
            state = "imported"
        elif table := entry.pieces.get(WORD_TRANSLATIONS):
            piece = StoredPiece(WORD_TRANSLATIONS, table, self._manifest.blobs[table])
            registration.add_optional_piece(self._session, row.name, piece)
        self._parents[entry.name] = row
        return entry.name, row.name, state

    def module(self, entry: ModuleEntry) -> tuple[str, str, State]:
        owner, content = self._parents[entry.parent], self._contents.modules[entry.name]
        row = self._same(owner, entry, content)
        state: State = "imported"
        if row is not None:
            state = "there, deleted" if row.deleted else "there already"
        else:
            row = registration.new_module(
                self._session,
                owner,
                pair=content.pair,
                side=content.side,
                scope=content.scope,
                digest=entry.digest,
                parameters=content.parameters,
                precision=content.precision,
                shared=(lineage := self._lineage(entry)).shared,
                rests_on=lineage.rests_on,
            )
            self._write(row, entry)
            self._alias(row, entry.aliases)
        self._modules[entry.name] = row
        return entry.name, name_of(row), state

    def name_inputs(self) -> None:
        """Name the inputs of what was imported as they are called here, now that every module has its version."""
        for row, entry in self._written:
            for stored, used in zip(row.inputs, entry.inputs, strict=True):
                stored.module = self._input_name(used)
        self._session.flush()
        for row, _ in self._written:
            if isinstance(row, schema.Module):
                registration.check_rests_on(self._session, row)

    def score(self, entry: ScoreEntry) -> bool:
        """Whether the score is new. What was measured here stays as it is."""
        measured = {
            "recipe_digest": entry.recipe,
            "test_digest": entry.test_digest,
            "metric": entry.metric,
            "signature": entry.signature,
            "beam": entry.beam,
        }
        if self._session.scalar(select(schema.Score.id).filter_by(**measured)) is not None:
            return False
        here = {
            "pair": Pair.parse(entry.pair),
            "parent": self._parents[entry.parent].name,
            "source": self._named(entry.source),
            "cross_attention": self._named(entry.cross_attention),
            "target": self._named(entry.target),
        }
        scoring.add_score(self._session, ScoreRecord(**{**entry.model_dump(), **here}))
        return True

    def _named(self, module: str | None) -> str | None:
        return None if module is None else name_of(self._modules[module])

    def _same(self, owner: schema.Parent, entry: ModuleEntry, content: ModuleContent) -> schema.Module | None:
        """The row of the same content, each for one module only: who trained twice the same has two versions."""
        rows = self._session.scalars(
            select(schema.Module)
            .filter_by(parent_id=owner.id, source=content.pair.source, target=content.pair.target, digest=entry.digest)
            .order_by(schema.Module.version)
        )
        taken = {row.id for row in self._modules.values()}
        free = [row for row in rows if row.id not in taken]
        return next((row for row in free if row.created == entry.created), free[0] if free else None)

    def _write(self, row: schema.Parent | schema.Module, entry: ArtifactEntry) -> None:
        """Add a row with its lineage, tags and notes."""
        sizes = self._manifest.blobs
        pieces = [StoredPiece(name, digest, sizes[digest]) for name, digest in sorted(entry.pieces.items())]
        registration.fill(self._session, row, pieces, self._lineage(entry))
        row.created = entry.created
        self._written.append((row, entry))
        self._session.add_all(schema.Tag(artifact_id=row.id, tag=tag) for tag in dict.fromkeys(entry.tags))
        self._session.add_all(
            schema.Note(artifact_id=row.id, text=note.text, who=note.who, moment=note.moment) for note in entry.notes
        )
        self._session.flush()

    def _lineage(self, entry: ArtifactEntry) -> Lineage:
        """A job whose attempt registered something else here is not named: nothing is registered for it twice."""
        same = select(schema.Artifact.id).filter_by(job=entry.job, attempt=entry.attempt)
        is_free = entry.job is None or self._session.scalar(same) is None
        return Lineage(
            corpora=tuple((role, self.corpora[digest]) for role, digest in entry.corpora),
            spec=entry.spec,
            code_version=entry.code_version,
            job=entry.job if is_free else None,
            attempt=entry.attempt,
            run=entry.run,
            inputs=tuple(
                Input(one.role, one.module, one.digest, one.recipe, one.part) for one in entry.inputs
            ),  # see name_inputs
            environment=entry.environment,
            replay=entry.replay,
        )

    def _input_name(self, used: InputEntry) -> str | None:
        """The name that an input has here, by its content; the one in the bundle where it is not here."""
        known = self._parents.get(used.module or "") or self._modules.get(used.module or "")
        if known is None and used.digest is not None:
            known = registration.of_fingerprint(self._session, used.digest) or self._session.scalar(
                select(schema.Module).filter_by(digest=used.digest).order_by(schema.Module.id).limit(1)
            )
        return used.module if known is None else name_of(known)

    def _alias(self, row: schema.Module, names: list[str]) -> None:
        """Import aliases unless they are set to another version here."""
        place = {"parent_id": row.parent_id, "source": row.source, "target": row.target}
        for name in dict.fromkeys(names):
            if self._session.scalar(select(schema.Alias.name).filter_by(**place, name=name)) is None:
                self._session.add(schema.Alias(**place, name=name, module_id=row.id))
                self._session.add(
                    schema.AliasMove(**place, name=name, to_version=row.version, who=IMPORTER, moment=now())
                )
                self._session.flush()


def _version(entry: ModuleEntry) -> int:
    return int(entry.name.rpartition(":")[2])
