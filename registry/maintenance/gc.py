"""Garbage collection: remove blobs without a record, temporary files, and artifacts that were deleted long ago.

A blob is removed only inside a write transaction, in which no record refers to it. Registering checks, inside its own
transaction, that its blobs exist, and stores missing ones again. So nothing that is registered is ever lost, whatever
the clocks show. The grace period is for blobs that are stored and not yet registered.
"""

from __future__ import annotations

import time
from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import Select, Table, delete, select
from sqlalchemy.orm import Session

from continual_mt.errors import IncompatibleError
from registry.blobs import OWNERS, BlobStore, Leftover, StoredBlob
from registry.database import schema
from registry.maintenance.references import is_referenced, referenced
from registry.maintenance.results import Collection, Progress
from registry.queries.catalog import name_of
from registry.queries.pivot_rows import pivots_with
from registry.records.values import now
from registry.registry import Registry

GRACE = timedelta(days=7)
WRITING = timedelta(hours=1)
"""A temporary file that is younger may be one that is being written, whatever the grace period."""
_AT_A_TIME = 100
_Row = TypeVar("_Row", schema.Parent, schema.Module)
_Forgotten = tuple[tuple[tuple[str, int], ...], tuple[str, ...]]


def collect(
    registry: Registry,
    *,
    grace: timedelta = GRACE,
    for_good: bool = False,
    forget: bool = False,
    progress: Progress = lambda done: None,
) -> Collection:
    """Find, and ``for_good`` remove, what has not been needed or written for as long as ``grace``.

    With ``forget`` also what was deleted longer ago, unless something depends on it. What seems to come from the
    future, because a clock was put back, counts as young. Raises StorageError when something cannot be removed,
    IncompatibleError where another registry has blobs in the same place: what it needs would look like an orphan here.
    """
    _check_alone(registry, registry.storage.claim() if for_good else registry.storage.identity())
    forgotten, kept = _forget(registry, grace, for_good) if forget else ((), ())
    old, young = _split(registry, grace)
    leftovers = [found for found in registry.blobs.leftovers() if _age(found) >= max(grace, WRITING).total_seconds()]
    if for_good:
        removed: list[StoredBlob] = []
        remaining = iter(old)
        while some := list(islice(remaining, _AT_A_TIME)):
            removed += registry.database.write(partial(_remove, blobs=registry.blobs, found=some))
            progress(len(removed))
        for leftover in leftovers:
            registry.blobs.remove_leftover(leftover)
        registry.database.write(lambda session: _clear_rows(session, registry.blobs))
        old = removed
    return Collection(tuple(old), tuple(leftovers), young, forgotten, kept)


def _check_alone(registry: Registry, own: str | None) -> None:
    place = registry.blobs.place
    for identity, name in registry.blobs.claimants().items():
        if identity != own:
            raise IncompatibleError(
                f"the registry in {name} has blobs in {place}, too, and those that only it needs would be removed; "
                f"if that registry no longer exists, remove {place}/{OWNERS}/{identity} and try again"
            )


def _age(found: StoredBlob | Leftover) -> float:
    """In seconds."""
    return time.time() - found.written


def _split(registry: Registry, grace: timedelta) -> tuple[list[StoredBlob], int]:
    """Blobs that nothing refers to: those older than the grace period, and how many are younger."""
    with registry.database.read() as session:
        needed = referenced(session)
    orphans = [blob for blob in registry.blobs.digests() if blob.digest not in needed]
    old = [blob for blob in orphans if _age(blob) >= grace.total_seconds()]
    return old, len(orphans) - len(old)


def _remove(session: Session, blobs: BlobStore, found: Sized[StoredBlob]) -> list[StoredBlob]:
    """Remove those that are still without a record. Other writers wait meanwhile, so they are few."""
    needed = referenced(session, [blob.digest for blob in found])
    unneeded = [blob for blob in found if blob.digest not in needed]
    digests = [blob.digest for blob in unneeded]
    session.execute(delete(schema.Blob).where(schema.Blob.digest.in_(digests)))
    for digest in digests:
        blobs.remove(digest)
    return unneeded


def _clear_rows(session: Session, blobs: BlobStore) -> None:
    """Delete rows of ``blobs`` that no record refers to and whose blob is missing, left by a killed collection."""
    for row in session.scalars(select(schema.Blob).where(~is_referenced())):
        if not blobs.has(row.digest):
            session.delete(row)


def _forget(registry: Registry, grace: timedelta, for_good: bool) -> _Forgotten:
    """Find or remove what was deleted before the grace period; ``kept`` lists what cannot be removed, and why."""

    def look(session: Session) -> _Forgotten:
        kept = []
        modules, parents = [], []
        for module in session.scalars(_deleted(schema.Module, grace)):
            aliases = [alias.name for alias in session.scalars(select(schema.Alias).filter_by(module_id=module.id))]
            if aliases:
                kept.append(f"{name_of(module)}: the alias {', '.join(aliases)} is set to it")
            else:
                modules.append(module)
        going = {module.id for module in modules}
        for parent in session.scalars(_deleted(schema.Parent, grace)):
            standing = session.scalars(select(schema.Module).filter_by(parent_id=parent.id))
            names = [name_of(module) for module in standing if module.id not in going]
            if names:
                kept.append(f"{parent.name}: {', '.join(names[:3])}{' and more' if names[3:] else ''} belongs to it")
            else:
                parents.append(parent)
        found = (*((name_of(module), module.bytes) for module in modules), *((p.name, p.bytes) for p in parents))
        if for_good:
            _erase(session, [module.id for module in modules])
            for identity in [parent.id for parent in parents]:
                _erase_of_parent(session, identity)
                _erase(session, [identity])
        return found, tuple(kept)

    return registry.database.write(look)


def _deleted(kind: type[_Row], grace: timedelta) -> Select[_Row]:
    return select(kind).where(kind.deleted < now() - grace).order_by(kind.id)


def _erase(session: Session, artifacts: Iterable[int]) -> None:
    """All rows of some parents or modules. Counters of versions stay, so that no number is given out twice."""
    for identity in artifacts:
        for table in (schema.Piece, schema.CorpusUse, schema.ArtifactInput, schema.Tag, schema.Note):
            session.execute(delete(table).where(table.artifact_id == identity))
        for kind in (schema.Module, schema.Parent, schema.Artifact):
            rows = schema.Base.metadata.tables[kind.__tablename__]
            session.execute(delete(rows).where(rows.c.id == identity))


def _erase_of_parent(session: Session, identity: int) -> None:
    """Delete measurements and annotations of a parent without modules."""
    sequences = select(schema.Sequence.id).where(schema.Sequence.parent_id == identity)
    session.execute(delete(schema.Cell).where(schema.Cell.sequence_id.in_(sequences)))
    # Pivots with a leg on it, of which the other leg may be on another parent.
    pivots = list(session.scalars(pivots_with(lambda leg: leg.parent_id == identity)))
    session.execute(delete(schema.Score).where(schema.Score.recipe_digest.in_(pivots)))
    session.execute(delete(schema.Recipe).where(schema.Recipe.digest.in_(pivots)))
    for table in _tables_of_parents():
        session.execute(delete(table).where(table.c.parent_id == identity))


def _tables_of_parents() -> Iterator[Table]:
    for table in reversed(schema.Base.metadata.sorted_tables):
        if "parent_id" in table.c and table is not schema.Module.__table__:
            yield table
