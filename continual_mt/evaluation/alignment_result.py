"""What a look-up in a lexicon found: how often it was right. `alignment` does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import TypeAdapter

Unit = Literal["piece", "word"]
"""``piece``: words that are one piece in both vocabularies, among all pieces. ``word``: words of any number of pieces,
each the mean of their embeddings, among all translations in the lexicon."""
Method = Literal["cosine", "csls"]
METHODS: tuple[Method, ...] = get_args(Method)
_PREFIX = "precision_"


@dataclass(frozen=True)
class Precision:
    """How often one method was right: shares (0 to 1) of the queries with a right translation among the first 1 and 5.

    They are None where there are no queries.
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
        """The reverse of ``to_json``. Raises ValueError for anything else."""
        named = {name.removeprefix(_PREFIX): value for name, value in values.items()}
        return TypeAdapter(cls).validate_python(named)
