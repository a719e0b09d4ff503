"""The record of a parallel corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from continual_mt.languages import Pair
from registry.records.values import JSONObject

Role = Literal["train", "dev", "test", "monolingual", "lexicon", "initialisation"]
"""What an artifact used a corpus for. Text of one language and lexicons are listed with the artifact's pair."""


@dataclass(frozen=True)
class CorpusRecord:
    """A parallel corpus, identified by its content. ``sentences`` counts pairs kept, ``skipped`` those left out.

    ``sources`` and ``references`` are blobs with the text of a test set, one sentence per line; None for other corpora.
    Several references of a test set follow one another in their blob.
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
