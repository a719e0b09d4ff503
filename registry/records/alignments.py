"""The records of embedding tables, and of how well two of them align."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from continual_mt.evaluation.alignment_result import Precision
from continual_mt.languages import SideName
from registry.records.values import JSONObject, now


@dataclass(frozen=True)
class EmbeddingRecord:
    """An embedding table: the parent's own where ``module`` is None, else that of the module of this full name.

    ``digest`` is the blob that holds it.
    """

    parent: str
    side: SideName
    language: str
    module: str | None
    digest: str

    def __str__(self) -> str:
        """``de of base/de-en:1``."""
        return f"{self.language} of {self.module or self.parent}"

    def to_json(self) -> JSONObject:
        return {
            "parent": self.parent,
            "side": self.side,
            "language": self.language,
            "module": self.module,
            "digest": self.digest,
        }


@dataclass(frozen=True)
class AlignmentRecord:
    """How well two tables of one side align. ``lexicon`` names the file that judged it and ``lexicon_digest`` the blob
    with its ``entries``, a word and a translation each."""

    first: EmbeddingRecord
    second: EmbeddingRecord
    lexicon: str
    lexicon_digest: str
    entries: int
    results: tuple[Precision, ...]
    created: datetime = field(default_factory=now)

    def to_json(self) -> JSONObject:
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "lexicon": self.lexicon,
            "lexicon_digest": self.lexicon_digest,
            "entries": self.entries,
            "results": [dict(result.to_json()) for result in self.results],
            "created": self.created.isoformat(),
        }
