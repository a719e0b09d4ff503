"""Nearest neighbours of a word of one embedding table among the pieces of another, by CSLS, without a lexicon."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from continual_mt.errors import InputError
from continual_mt.evaluation.alignment import (
    EmbeddingTable,
    encode_words,
    hubness,
    nearest_rows,
    ordinary_ids,
    pool,
    unit_rows,
)

NEAREST = 10


@dataclass(frozen=True)
class Neighbour:
    """A piece (with ``▁`` at the start of a word) and its cosine to the query."""

    piece: str
    cosine: float


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A search index over the pieces of a table, special ones excluded, for words of the table ``first``.

    ``candidates`` (pieces, width) have rows of length 1, named by ``labels``. ``hubs`` (pieces,) is their `hubness`
    with respect to ``first``; it is computed once, because it is the same for every word.
    """

    first: EmbeddingTable
    labels: list[str]
    candidates: Tensor
    hubs: Tensor

    @classmethod
    def of(cls, first: EmbeddingTable, second: EmbeddingTable) -> Neighbourhood:
        """Index the pieces of ``second`` for words of ``first``."""
        ids = ordinary_ids(second.side.tokenizer)
        candidates = unit_rows(second.embedding[ids])
        population = unit_rows(first.embedding[ordinary_ids(first.side.tokenizer)])
        pieces = second.side.tokenizer.pieces
        return cls(first, [pieces[number] for number in ids], candidates, hubness(candidates, population))

    def nearest(self, word: str, count: int = NEAREST) -> list[Neighbour]:
        """Return the ``count`` pieces nearest to a word or phrase, nearest first by CSLS.

        The query is the mean of the embeddings of all its pieces. Raises InputError if the first table's vocabulary
        cannot encode it.
        """
        spelling = list(encode_words(self.first.side.tokenizer, [word]).values())
        if not spelling:
            raise InputError(f"{word[:80]!r}: cannot be encoded with the vocabulary of {self.first.side.language}")
        query = unit_rows(pool(self.first.embedding, spelling))
        rows = nearest_rows(query, self.candidates, count, hubs=self.hubs)[0]
        cosines = self.candidates[rows] @ query[0]
        return [
            Neighbour(self.labels[row], cosine) for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True)
        ]
