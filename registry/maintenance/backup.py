"""Back up a whole registry, and load a backup, also into another kind of database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, Table, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from continual_mt.errors import CorruptionError, IncompatibleError, UnknownNameError
from registry.blobs import BlobStore, blobs_place, open_blobs
from registry.database import schema
from registry.database.base import UTCDateTime
from registry.database.database import Database
from registry.database.location import BACKUP_SETTING, Location
from registry.maintenance.references import is_referenced
from registry.maintenance.results import Copied, Progress
from registry.registry import Registry

_ROWS = 1000


def backup(registry: Registry, folder: Path, *, progress: Progress = lambda done: None) -> Copied:
    """Make a folder, or the backup that is in it, a copy of a registry; jobs may write meanwhile.

    It has all that was registered when the copying began, and can be opened as a home, on SQLite whatever the registry
    is kept by. It changes in one moment: until then, and when copying fails, it is the backup that it was. Raises
    IncompatibleError for a folder with a registry that is no backup, or with a backup that was written to since.
    """
    if str(folder / "blobs") == registry.blobs.place:
        raise IncompatibleError(f"{folder} holds the registry's own blobs; a backup has to be in another folder")
    is_new = not (folder / "registry.db").exists()

    def prepare(session: Session) -> None:
        _check_backup(session, folder)

    def finish(session: Session) -> None:
        session.merge(schema.Setting(key=BACKUP_SETTING, value=_state(session)))

    with open_folder(folder, create=True) as target:
        if is_new:  # a backup from the beginning, so that one which fails can be made again
            target.database.write(finish)
        return _copy(registry, target, prepare, finish, progress)


def load_backup(registry: Registry, source: Registry, *, progress: Progress = lambda done: None) -> Copied:
    """Copy all of ``source`` into an empty registry: to restore a backup, or to move records to PostgreSQL.

    Raises IncompatibleError when the registry is not empty; nothing is changed then.
    """

    def check(session: Session) -> None:
        if (table := _first_with_rows(session)) is not None:
            raise IncompatibleError(
                f"the registry in {registry.name} is not empty (it has {table.name}); name another home or "
                "database, or move single modules with `registry export` and `registry import`"
            )

    registry.database.write(check)
    return _copy(source, registry, check, _raise_counters, progress)


def open_folder(folder: Path, *, create: bool = False) -> Registry:
    """The registry whose records are in a folder's ``registry.db``; a new one has its blobs beside them.

    Raises UnknownNameError if it does not exist and ``create`` is False.
    """
    folder = folder.absolute()
    if not create and not (folder / "registry.db").is_file():
        raise UnknownNameError(f"no registry in {folder}: registry.db not found; expected a backup or a home")
    cache = folder / "cache" / "blobs"
    location = Location(URL.create("sqlite", database=str(folder / "registry.db")), str(folder / "blobs"), cache)
    database = Database(location, create=create)
    try:
        with database.read() as session:
            setting = session.get_one(schema.Setting, schema.BLOBS_SETTING).value
        place = setting if "://" in setting else str(folder / setting)
        return Registry(database, open_blobs(blobs_place(place), cache))
    except BaseException:
        database.close()
        raise


def _copy(
    source: Registry,
    target: Registry,
    prepare: Callable[[Session], None],
    finish: Callable[[Session], None],
    progress: Progress,
) -> Copied:
    """Blobs first, then all records in one transaction, out of one state of the source."""
    with source.database.read() as reading:

        def replace(writing: Session) -> int:
            prepare(writing)
            for table in reversed(_tables()):
                writing.execute(delete(table))
            records = sum(_copy_rows(reading, writing, table) for table in _tables())
            finish(writing)
            return records

        target.storage.claim()
        if target.blobs.place == source.blobs.place:
            blobs = copied = size = 0
        else:
            blobs, copied, size = _copy_blobs(reading, source.blobs, target.blobs, progress)
        return Copied(target.database.write(replace), copied, size, blobs - copied)


def _tables() -> list[Table]:
    """All tables but settings, each after the tables that it refers to."""
    return [table for table in schema.Base.metadata.sorted_tables if table.name != schema.Setting.__tablename__]


def _first_with_rows(session: Session) -> Table | None:
    there = (table for table in _tables() if session.scalar(select(literal(1)).select_from(table).limit(1)))
    return next(there, None)


def _copy_rows(reading: Session, writing: Session, table: Table) -> int:
    own = (key.parent.is_not(None) for key in table.foreign_keys if key.column.table is table)
    query = select(table).order_by(*own)  # rows that others of the same table refer to come first
    if table.name == schema.Blob.__tablename__:
        query = query.where(is_referenced())
    count = 0
    for rows in reading.execute(query, execution_options={"yield_per": _ROWS}).mappings().partitions():
        writing.execute(insert(table), [dict(row) for row in rows])
        count += len(rows)
    return count


def _copy_blobs(reading: Session, source: BlobStore, target: BlobStore, progress: Progress) -> tuple[int, int, int]:
    """How many blobs there are, and how many of them, with how many bytes, were copied.

    Blobs that the target has in full length are not copied again. Raises CorruptionError for one that is damaged
    or missing in the source.
    """
    blobs = reading.execute(select(schema.Blob.digest, schema.Blob.bytes).where(is_referenced())).all()
    copied = size = 0
    for done, (digest, length) in enumerate(blobs, start=1):
        if not _has(target, digest, length):
            try:
                target.copy_from(source, digest)
            except CorruptionError as error:
                raise CorruptionError(f"the copy was not made: {error}") from error
            copied, size = copied + 1, size + length
        progress(done)
    return len(blobs), copied, size


def _has(store: BlobStore, digest: str, length: int) -> bool:
    try:
        return store.size(digest) == length
    except CorruptionError:
        return False


def _check_backup(session: Session, folder: Path) -> None:
    setting = session.get(schema.Setting, BACKUP_SETTING)
    if setting is None:
        raise IncompatibleError(f"{folder} holds a registry that is not a backup; choose another folder")
    if setting.value != _state(session):
        raise IncompatibleError(
            f"the backup in {folder} was used as a registry: something was registered there since. "
            "It was left as it is; name another folder"
        )


def _state(session: Session) -> str:
    """What changes whenever something is written: of every table how many rows there are, and how late they are."""
    found = []
    for table in _tables():
        moments = [column for column in table.c if isinstance(column.type, UTCDateTime)]
        of_moments = (part for moment in moments for part in (func.count(moment), func.max(moment)))
        found.append(":".join(map(str, session.execute(select(func.count(), *of_moments).select_from(table)).one())))
    return " ".join(found)


def _raise_counters(session: Session) -> None:
    """PostgreSQL counts the numbers that it gives out itself, and has given out none of those that were copied."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in _tables():
        column = table.autoincrement_column
        last = None if column is None else session.scalar(select(func.max(column)))
        if column is not None and last is not None:
            session.execute(select(func.setval(func.pg_get_serial_sequence(table.name, column.name), last)))
