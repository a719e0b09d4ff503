"""The pieces of one embedding table that lie nearest to a word of another, by CSLS; no lexicon is needed."""

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
    """A piece, ``▁`` where it begins a word, and its cosine to what was looked up."""

    piece: str
    cosine: float


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """All ordinary pieces of a table, seen from another one.

    ``candidates`` [pieces, width] have rows of length 1. ``hubs`` [pieces] say how near each is to what is nearest to
    it in ``first``, which takes a product of both tables and is the same for every word.
    """

    first: EmbeddingTable
    labels: list[str]
    candidates: Tensor
    hubs: Tensor

    @classmethod
    def of(cls, first: EmbeddingTable, second: EmbeddingTable) -> Neighbourhood:
        ids = ordinary_ids(second.side.tokenizer)
        candidates = unit_rows(second.embedding[ids])
        population = unit_rows(first.embedding[ordinary_ids(first.side.tokenizer)])
        pieces = second.side.tokenizer.pieces
        return cls(first, [pieces[number] for number in ids], candidates, hubness(candidates, population))

    def nearest(self, word: str, count: int = NEAREST) -> list[Neighbour]:
        """The ``count`` pieces nearest to a word, or to the mean of several, nearest first by CSLS.

        Raises InputError for what the first table's vocabulary cannot write.
        """
        spelling = list(encode_words(self.first.side.tokenizer, [word]).values())
        if not spelling:
            raise InputError(f"{word[:80]!r} cannot be written with the pieces of {self.first.side.language}")
        query = unit_rows(pool(self.first.embedding, spelling))
        rows = nearest_rows(query, self.candidates, count, hubs=self.hubs)[0]
        cosines = self.candidates[rows] @ query[0]
        return [
            Neighbour(self.labels[row], cosine) for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True)
        ]
