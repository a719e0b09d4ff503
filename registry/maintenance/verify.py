"""Check that every blob has the bytes of its digest, and that every reference of a record resolves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.artifacts.stored.optional_pieces import (
    INITIALISATION,
    OPTIONAL_PIECES,
    WORD_TRANSLATIONS,
    check_start,
    required,
)
from continual_mt.artifacts.stored.serialization import read_json
from continual_mt.errors import ContinualMTError, CorruptionError, StorageError
from continual_mt.initialisation.word_translation import WordTranslations
from registry.blobs import BlobStore, StoredBlob
from registry.database import schema
from registry.database.row_mapping import parent_languages
from registry.maintenance.references import referenced, users
from registry.maintenance.results import Problem, Progress, Verification
from registry.queries.catalog import name_of
from registry.registry import Registry
from registry.writes.scoring import wrongly_shown

READERS = 4
_AT_A_TIME = 256


@dataclass(frozen=True)
class _Read:
    """A blob as it was read: its digest and length, or why it could not be."""

    listed: StoredBlob
    digest: str
    bytes: int
    error: str | None = None


def verify(
    registry: Registry, *, set_aside: bool = True, fingerprints: bool = False, progress: Progress = lambda done: None
) -> Verification:
    """Read every blob, check its digest, and resolve every reference that a record makes.

    Damaged blobs are moved to the store's quarantine unless ``set_aside`` is False; damaged copies in the cache of a
    remote store are removed, since they are fetched again when needed. With ``fingerprints`` those of
    parents and modules are computed again from their weights, one parent or module in memory at a time. Jobs may write
    meanwhile. Raises StorageError when the blobs cannot be listed or one cannot be moved.
    """
    sizes: dict[str, int] = {}
    orphans: dict[str, StoredBlob] = {}
    problems = []
    for read in _read_all(registry.blobs):
        if read.error is None and read.digest == read.listed.digest:
            sizes[read.digest] = read.bytes
            orphans[read.digest] = read.listed
        elif problem := _bad(registry, read, set_aside):
            problems.append(problem)
            sizes[read.listed.digest] = -1
        progress(len(sizes))
    # Read after the blobs: blobs that were registered meanwhile are looked up in the store once more.
    with registry.database.read() as session:
        needed = referenced(session)
        problems += _missing(session, registry.blobs, needed - sizes.keys())
        problems += _wrong_records(session, needed, sizes)
        gone = tuple(_gone(session))
    if fingerprints:
        problems += _wrong_fingerprints(registry)
    copies_dropped = registry.blobs.drop_damaged_copies()
    good = {digest: size for digest, size in sizes.items() if size >= 0}
    unused = tuple(blob for digest, blob in orphans.items() if digest not in needed)
    leftovers = tuple(registry.blobs.leftovers())
    return Verification(
        len(good), sum(good.values()), tuple(problems), unused, leftovers, gone, copies_dropped=copies_dropped
    )


def _read_all(blobs: BlobStore) -> Iterator[_Read]:
    """Hashing lets other threads run, so that one reads while another computes."""
    listed = blobs.digests()
    with ThreadPoolExecutor(READERS) as readers:
        while some := list(islice(listed, _AT_A_TIME)):
            yield from readers.map(lambda blob: _read(blobs, blob), some)


def _read(blobs: BlobStore, listed: StoredBlob) -> _Read:
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in blobs.chunks(listed.digest):
            digest.update(chunk)
            size += len(chunk)
    except ContinualMTError as error:
        return _Read(listed, "", size, str(error))
    return _Read(listed, digest.hexdigest(), size)


def _bad(registry: Registry, read: _Read, set_aside: bool) -> Problem | None:
    """Return what is wrong with a blob; None if it was removed or rewritten since it was read."""
    digest = read.listed.digest

    def look_again(session: Session) -> Problem | None:
        try:
            again = _read(registry.blobs, read.listed)
            if again.digest == digest or not _is_there(registry.blobs, digest):
                return None
            needed_by = tuple(users(session, digest))
            if again.error is not None:
                return Problem("unreadable", digest, again.error, needed_by)
            if set_aside:
                aside = registry.blobs.quarantine(digest)
            else:
                aside = None
                registry.blobs.forget_arrival(digest)
        except CorruptionError:  # removed meanwhile
            return None
        explanation = f"its {again.bytes:,} bytes have the digest {again.digest}"
        return Problem("damaged", digest, explanation, needed_by, aside)

    # In a write transaction, so that no record comes to refer to a blob while it is moved aside.
    return registry.database.write(look_again)


def _is_there(blobs: BlobStore, digest: str) -> bool:
    """Return True also for a blob that cannot be checked, since it may exist."""
    try:
        return blobs.has(digest)
    except StorageError:
        return True


def _missing(session: Session, blobs: BlobStore, digests: set[str]) -> Iterator[Problem]:
    for digest in sorted(digests):
        if not _is_there(blobs, digest):
            aside = blobs.set_aside(digest)
            words = "it was damaged" if aside else f"no blob with this digest in {blobs.place}"
            yield Problem("missing", digest, words, tuple(users(session, digest)), aside)


def _wrong_records(session: Session, needed: set[str], sizes: dict[str, int]) -> Iterator[Problem]:
    rows = {row.digest: row.bytes for row in session.execute(select(schema.Blob.digest, schema.Blob.bytes))}
    for digest in sorted(needed):
        if digest not in rows:
            yield _wrong(digest, "records refer to it, but it is not in the table of blobs", session)
        elif sizes.get(digest, -1) >= 0 and sizes[digest] != rows[digest]:
            explanation = f"the table of blobs says {rows[digest]:,} bytes, and it has {sizes[digest]:,}"
            yield _wrong(digest, explanation, session)
    for recipe in wrongly_shown(session):
        words = "it is not listed with its best BLEU, as an older version wrote it; score it again"
        yield Problem("record", f"recipe {recipe}", words)
    for table in schema.Base.metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            there = key.column.table.alias()
            lost = select(func.count()).where(
                key.parent.is_not(None), ~select(there).where(there.c[key.column.name] == key.parent).exists()
            )
            if count := session.scalar(lost):
                words = f"{count:,} rows name a row of {key.column.table.name} that is not there"
                yield Problem("record", f"{table.name}.{key.parent.name}", words)


def _wrong(digest: str, explanation: str, session: Session) -> Problem:
    return Problem("record", digest, explanation, tuple(users(session, digest)))


def _gone(session: Session) -> Iterator[str]:
    """Full names of modules that scores, recipes, cells, alignments or inputs name, and that were forgotten since."""
    there = {name_of(row) for kind in (schema.Module, schema.Parent) for row in session.scalars(select(kind))}
    named: set[str] = set()
    for column in (
        *(getattr(table, f"{part}_module") for table in (schema.Score, schema.Recipe) for part in _PARTS),
        schema.Cell.module,
        schema.ArtifactInput.module,
        schema.Alignment.first_module,
        schema.Alignment.second_module,
    ):
        named.update(session.scalars(select(column).where(column.is_not(None)).distinct()))
    yield from sorted(named - there)


_PARTS = ("source", "cross_attention", "target")


def _wrong_fingerprints(registry: Registry) -> Iterator[Problem]:
    """Parents and modules, deleted ones too, whose weights are others than were registered."""
    with registry.database.read() as session:
        for parent in session.scalars(select(schema.Parent).order_by(schema.Parent.name)):
            yield from _compared(registry, parent, parent.name, parent.fingerprint)
        for module in session.scalars(select(schema.Module).order_by(schema.Module.id)):
            yield from _compared(registry, module, name_of(module), module.digest)


def _compared(registry: Registry, row: schema.Parent | schema.Module, name: str, expected: str) -> Iterator[Problem]:
    pieces = {piece.name: piece.digest for piece in row.pieces}
    blobs = registry.blobs
    try:
        optional = blobs.get_all({name: digest for name, digest in pieces.items() if name in OPTIONAL_PIECES})
        blobs.load(required(pieces), lambda content: None)
    except ContinualMTError:
        return  # reported as a blob already
    content: Parent | Module
    try:
        if isinstance(row, schema.Parent):
            content = parent = blobs.load(required(pieces), Parent.from_pieces)
            found, about = parent.fingerprint, _described(parent.languages)
            registered = _described(parent_languages(row.sides, denoising=row.denoising))
            if table := optional.get(WORD_TRANSLATIONS):
                WordTranslations.of_parent(table, parent)
        else:
            content = module = blobs.load(required(pieces), Module.from_pieces)
            if INITIALISATION in optional:
                check_start(read_json(optional, INITIALISATION))
            found, about, registered = module.digest, str(module.pair), f"{row.source}-{row.target}"
            if module.parent_fingerprint != row.parent.fingerprint:
                words = f"it was trained on the parent {module.parent_fingerprint}, not on {row.parent.fingerprint}"
                yield Problem("record", name, words)
    except ContinualMTError as error:
        yield Problem("record", name, str(error))
        return
    if found != expected:
        yield Problem("record", name, f"its pieces have the fingerprint {found}, but {expected} was registered")
    if content.precision != row.precision:
        yield Problem("record", name, f"its pieces are in {content.precision}, but {row.precision} was registered")
    if about != registered:
        yield Problem("record", name, f"its pieces are of the pair {about}, but {registered} was registered")


def _described(languages: ParentLanguages) -> str:
    """All that a registry knows of a parent's languages; only the pair, if that says all."""
    pair = languages.only_pair
    return str(pair) if pair is not None and languages == ParentLanguages.of_pair(pair) else repr(languages)
