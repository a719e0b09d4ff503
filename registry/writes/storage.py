"""The database and the blobs of a registry, and writing to both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar
from uuid import uuid4

from sqlalchemy.orm import Session

from registry.blobs import BlobStore
from registry.database import schema
from registry.database.database import Database
from registry.writes.registration import StoredPiece

_Result = TypeVar("_Result")

Content: TypeAlias = bytes | Callable[[], Iterable[bytes | memoryview]]
"""What is stored: bytes, or a function that returns them in chunks, each time it is called."""


class Storage:
    """Where a registry's records and blobs are."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self.database, self.blobs = database, blobs
        self._claimed: str | None = None

    @property
    def local_parts(self) -> tuple[str, ...]:
        """What only this machine can use: records in a file, blobs in a folder."""
        records = (f"the records in {self.database.name}",) if self.database.is_file else ()
        return records + ((f"the blobs in {self.blobs.place}",) if self.blobs.is_local else ())

    def claim(self) -> str:
        """Note beside the blobs that this registry has some there; returns the identity by which it is known there."""
        if self._claimed is None:
            identity = self.identity() or self.database.write(_identify)
            self.blobs.claim(identity, self.database.name)
            self._claimed = identity
        return self._claimed

    def identity(self) -> str | None:
        """What tells this registry apart from others with blobs in the same place; None before it had any."""
        with self.database.read() as session:
            setting = session.get(schema.Setting, schema.IDENTITY_SETTING)
            return None if setting is None else setting.value

    def store(
        self, contents: Mapping[str, Content], register: Callable[[Session, Sequence[StoredPiece]], _Result]
    ) -> _Result:
        """Store contents, then register them in one transaction, in which all of them are still there.

        `registry gc` may have removed what was stored and not yet registered. It is stored again then, inside the
        transaction, while no other process can collect.
        """
        self.claim()
        pieces = [self._put(name, content) for name, content in contents.items()]

        def change(session: Session) -> _Result:
            for piece in pieces:
                if not self.blobs.has(piece.digest):
                    self._put(piece.name, contents[piece.name])
            return register(session, pieces)

        return self.database.write(change)

    def _put(self, name: str, content: Content) -> StoredPiece:
        if isinstance(content, bytes):
            return StoredPiece(name, self.blobs.put(content), len(content))
        stored = self.blobs.put_chunks(content())
        return StoredPiece(name, stored.digest, stored.bytes)


def _identify(session: Session) -> str:
    """Give a registry an identity, unless another process just has."""
    setting = session.get(schema.Setting, schema.IDENTITY_SETTING)
    if setting is None:
        setting = schema.Setting(key=schema.IDENTITY_SETTING, value=uuid4().hex)
        session.add(setting)
    return setting.value
