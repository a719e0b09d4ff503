"""The precision of an alignment probe, without the code that computes it (see `alignment`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import TypeAdapter

Unit = Literal["piece", "word"]
"""``piece``: words that are a single piece in both vocabularies, retrieved among all pieces. ``word``: words of any
number of pieces, as the mean of their embeddings, retrieved among all translations in the lexicon."""
Method = Literal["cosine", "csls"]
METHODS: tuple[Method, ...] = get_args(Method)
_PREFIX = "precision_"


@dataclass(frozen=True)
class Precision:
    """Precision at 1 and at 5: the share (0 to 1) of queries with a correct translation among the nearest 1 and 5.

    Both are None if there are no queries.
    """

    unit: Unit
    method: Method
    queries: int
    candidates: int
    at_1: float | None
    at_5: float | None

    def to_json(self) -> dict[str, str | int | float | None]:
        return {
            "unit": self.unit,
            "method": self.method,
            f"{_PREFIX}at_1": self.at_1,
            f"{_PREFIX}at_5": self.at_5,
            "queries": self.queries,
            "candidates": self.candidates,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Precision:
        """Read what `to_json` returns. Raises ValueError for anything else."""
        named = {name.removeprefix(_PREFIX): value for name, value in values.items()}
        return TypeAdapter(cls).validate_python(named)
