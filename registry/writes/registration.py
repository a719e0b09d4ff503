"""Write the results of jobs. Each function runs inside its caller's transaction; blobs are stored before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages
from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn, check_sides
from continual_mt.artifacts.stored.optional_pieces import OPTIONAL_PIECES
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.errors import IncompatibleError, StorageError
from continual_mt.languages import NewSide, Pair
from continual_mt.model.scopes import Scope
from registry.database import schema
from registry.database.row_mapping import parent_record
from registry.queries.catalog import find_module, find_parent, name_of, raise_if_deleted
from registry.queries.recipe_resolver import supervised
from registry.records.artifacts import ParentRecord
from registry.records.corpora import CorpusRecord
from registry.records.lineage import Lineage
from registry.records.names import ModuleName, unknown
from registry.records.values import now

if TYPE_CHECKING:
    from continual_mt.artifacts.module import Module
    from continual_mt.artifacts.parent import Parent

_Row = TypeVar("_Row", bound=schema.Artifact)


@dataclass(frozen=True)
class StoredPiece:
    """A piece whose blob is in the store."""

    name: str
    digest: str
    bytes: int


def add_parent(
    session: Session, name: str, parent: Parent, pieces: Sequence[StoredPiece], lineage: Lineage
) -> schema.Parent:
    """The row of a parent: the one that this job's attempt registered before, or a new one.

    Raises IncompatibleError when the name belongs to other content, or the content to another name.
    """
    same = _of_job(session, schema.Parent, lineage) or of_fingerprint(session, parent.fingerprint)
    if same is not None:
        raise_if_deleted(same)
        if same.name != name:
            raise IncompatibleError(f"this parent is registered already, as {same.name}; use that name")
        return same
    if taken := find_parent(session, name):
        raise_if_deleted(taken)
        raise IncompatibleError(
            f"there is a parent {name} already, with other content ({taken.fingerprint[:12]}, not "
            f"{parent.fingerprint[:12]}); a parent never changes, so choose another name"
        )
    row = schema.Parent(
        name=name,
        fingerprint=parent.fingerprint,
        architecture=parent.architecture.to_json(),
        parameters=parent.parameters(),
        precision=parent.precision,
        denoising=parent.languages.denoising,
        sides=parent_sides(parent.languages),
    )
    fill(session, row, pieces, lineage)
    return row


def parent_sides(languages: ParentLanguages) -> list[schema.ParentSide]:
    """Rows of a parent's languages, not added yet."""
    return [
        schema.ParentSide(end=end, tag=side.tag, code=side.code, token=side.token)
        for end in ENDS
        for side in languages.sides(end)
    ]


def add_module(
    session: Session, parent: str, module: Module, pieces: Sequence[StoredPiece], lineage: Lineage
) -> schema.Module:
    """The row of a module: the one that this job's attempt registered before, or a new version.

    Raises IncompatibleError when the module was trained on another parent or is not an addition to this one.
    """
    if row := _of_job(session, schema.Module, lineage):
        raise_if_deleted(row)
        return row
    owner = parent_row(session, parent)
    raise_if_deleted(owner)
    check_module(parent_record(owner), module, lineage.rests_on)
    row = new_module(
        session,
        owner,
        pair=module.pair,
        side=module.side,
        scope=module.scope,
        digest=module.digest,
        parameters=module.parameters(),
        precision=module.precision,
        shared=lineage.shared,
        rests_on=lineage.rests_on,
    )
    fill(session, row, pieces, lineage)
    check_rests_on(session, row)
    return row


def new_module(
    session: Session,
    owner: schema.Parent,
    *,
    pair: Pair,
    side: NewSide,
    scope: Scope,
    digest: str,
    parameters: int,
    precision: StoredPrecision,
    shared: bool,
    rests_on: RestsOn[ModuleKey],
) -> schema.Module:
    """A row with the next version of its pair, not added yet."""
    recipe = supervised(parent_record(owner), ModuleKey("", digest), pair, side, scope, rests_on)
    return schema.Module(
        parent=owner,
        source=pair.source,
        target=pair.target,
        version=_next_version(session, owner.id, pair),
        side=side,
        scope=scope,
        shared=shared,
        digest=digest,
        recipe_digest=recipe.digest,
        parameters=parameters,
        precision=precision,
    )


def check_module(parent: ParentRecord, module: Module, rests_on: RestsOn[ModuleKey] = PARENT_ALONE) -> None:
    """Raises IncompatibleError unless the module was trained on this parent, and on the modules ``rests_on``."""
    if module.parent_fingerprint != parent.fingerprint:
        raise IncompatibleError(
            f"the module {module.pair} was trained on the parent {module.parent_fingerprint[:12]}, not on "
            f"{parent.name} ({parent.fingerprint[:12]}): a module fits no parent but its own"
        )
    if rests_on.mapped(lambda key: key.digest) != module.rests_on:
        raise IncompatibleError(
            f"the module {module.pair} rests on {listed_digests(module.rests_on.modules)}; its lineage has "
            f"{listed_digests([key.digest for key in rests_on.modules])}"
        )
    if not module.rests_on.modules and module.side in ENDS:
        side = parent.languages.new_side(module.pair)
        if side != module.side:
            raise IncompatibleError(
                f"the module {module.pair} brings a new {module.side} language, but to the parent {parent.name} "
                f"({parent.languages}) it is the {side} that is new"
            )
    check_sides(module.pair, module.side, module.rests_on, parent.languages)


def listed_digests(digests: Sequence[str]) -> str:
    return " and ".join(f"the module {digest[:12]}" for digest in digests) or "no module"


def check_rests_on(session: Session, row: schema.Module) -> None:
    """Raises IncompatibleError unless all modules that a module rests on are there, with the digests on record."""
    for used in row.inputs:
        if used.part is None:
            continue
        found = find_module(session, ModuleName.parse(str(used.module)), row.parent.name)
        if found is None or found.digest != used.digest or found.deleted:
            why = "was deleted" if found is not None and found.deleted else "is not in this registry"
            restore = f"continual-mt registry restore {used.module}"
            raise IncompatibleError(
                f"{name_of(row)} rests on {used.module}, which {why}. Fix: "
                f"{restore if why == 'was deleted' else 'import it first'}, then run the same command again"
            )


def add_corpus(session: Session, corpus: CorpusRecord) -> schema.Corpus:
    """The row of a corpus; what was registered first under a digest stays."""
    row = session.scalar(select(schema.Corpus).where(schema.Corpus.digest == corpus.digest))
    if row is None:
        row = schema.Corpus(
            digest=corpus.digest,
            source=corpus.pair.source,
            target=corpus.pair.target,
            name=corpus.name,
            sentences=corpus.sentences,
            skipped=corpus.skipped,
            licence=corpus.licence,
        )
        session.add(row)
    # A corpus that was trained on first may be a test set later: its text is kept from then on.
    row.sources, row.references = row.sources or corpus.sources, row.references or corpus.references
    session.flush()
    return row


def parent_row(session: Session, name: str) -> schema.Parent:
    """Raises UnknownNameError."""
    row = find_parent(session, name)
    if row is None:
        raise unknown("parent", name, session.scalars(select(schema.Parent.name)))
    return row


def of_fingerprint(session: Session, fingerprint: str) -> schema.Parent | None:
    return session.scalar(select(schema.Parent).where(schema.Parent.fingerprint == fingerprint))


def _of_job(session: Session, kind: type[_Row], lineage: Lineage) -> _Row | None:
    """What an attempt of a job registered before: a driver that was killed in between asks again."""
    if lineage.job is None:
        return None
    return session.scalar(select(kind).where(kind.job == lineage.job, kind.attempt == lineage.attempt))


def _next_version(session: Session, parent_id: int, pair: Pair) -> int:
    counter = schema.VersionCounter
    raised = session.scalar(
        update(counter)
        .where(counter.parent_id == parent_id, counter.source == pair.source, counter.target == pair.target)
        .values(last=counter.last + 1)
        .returning(counter.last)
        .execution_options(synchronize_session=False)
    )
    if raised is None:
        session.add(counter(parent_id=parent_id, source=pair.source, target=pair.target, last=1))
        session.flush()
        return 1
    return raised


def fill(session: Session, row: schema.Artifact, pieces: Sequence[StoredPiece], lineage: Lineage) -> None:
    """Add what every artifact has, and write it."""
    row.pieces = [schema.Piece(name=piece.name, digest=piece.digest) for piece in pieces]
    row.bytes = sum(piece.bytes for piece in pieces if piece.name not in OPTIONAL_PIECES)
    row.job, row.attempt, row.run = lineage.job, lineage.attempt, lineage.run
    row.code_version, row.spec = lineage.code_version, lineage.spec
    row.environment, row.replay = lineage.environment, lineage.replay
    row.inputs = [
        schema.ArtifactInput(
            position=position, role=one.role, module=one.module, digest=one.digest, recipe=one.recipe, part=one.part
        )
        for position, one in enumerate(lineage.inputs)
    ]
    row.created = now()
    row.uses = [
        schema.CorpusUse(position=position, role=role, corpus=add_corpus(session, corpus))
        for position, (role, corpus) in enumerate(lineage.corpora)
    ]
    note_blobs(session, {piece.digest: piece.bytes for piece in pieces})
    session.add(row)
    session.flush()


def add_optional_piece(session: Session, name: str, piece: StoredPiece) -> schema.Parent:
    """Add an optional piece to a parent that has none of this name; a parent never changes otherwise."""
    row = parent_row(session, name)
    raise_if_deleted(row)
    if all(known.name != piece.name for known in row.pieces):
        note_blobs(session, {piece.digest: piece.bytes})
        row.pieces.append(schema.Piece(name=piece.name, digest=piece.digest))
        session.flush()
    return row


def note_blobs(session: Session, sizes: Mapping[str, int]) -> None:
    """Add rows for blobs that are in the store, unless they have one."""
    known = set(session.scalars(select(schema.Blob.digest).where(schema.Blob.digest.in_(sizes))))
    session.add_all(schema.Blob(digest=digest, bytes=size) for digest, size in sizes.items() if digest not in known)
    session.flush()


def check_noted(session: Session, digests: Sequence[str | None]) -> None:
    """Raise StorageError unless each of these blobs has a row; None is ignored.

    A blob without a row was removed by garbage collection after it was stored and before a record referred to it.
    """
    wanted = {digest for digest in digests if digest is not None}
    if lost := wanted - set(session.scalars(select(schema.Blob.digest).where(schema.Blob.digest.in_(wanted)))):
        raise StorageError(
            f"the blob {min(lost)} was removed by a `registry gc` whose grace period was shorter than this job; "
            "run the same command again"
        )
