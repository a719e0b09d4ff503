"""Text that is kept as blobs, one sentence per line: test sets, translations, lexicons."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from continual_mt.errors import InputError
from continual_mt.evaluation.lexicon import Lexicon, parse_lexicon
from registry.records.alignments import AlignmentRecord
from registry.writes import registration
from registry.writes.registration import StoredPiece
from registry.writes.storage import Storage


class Texts:
    """Texts by the digests of their blobs."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def store(self, lines: Sequence[str]) -> str:
        """Store text, one sentence per line, and return its blob. Raises InputError if one holds a line break."""
        if any("\n" in line for line in lines):
            raise InputError("a sentence holds a line break, so it cannot be kept as a line")
        content = "".join(f"{line}\n" for line in lines).encode()

        def note(session: Session, pieces: Sequence[StoredPiece]) -> str:
            registration.note_blobs(session, {piece.digest: piece.bytes for piece in pieces})
            return pieces[0].digest

        return self._storage.store({"lines": content}, note)

    def read(self, blob: str) -> list[str]:
        """The lines that `store` kept. Raises CorruptionError for a blob that is damaged or missing."""
        return self._storage.blobs.get(blob).decode().split("\n")[:-1]

    def load_lexicon(self, alignment: AlignmentRecord) -> Lexicon:
        """The lexicon that an alignment was measured with."""
        return parse_lexicon(self.read(alignment.lexicon_digest), alignment.lexicon)
