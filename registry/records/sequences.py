"""The records of sequences, and of what every pair scored along them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from registry.records.values import JSONObject, now

SequenceMode = Literal["separate", "shared"]
View = Literal["routed", "through", "shared"]
"""How the pairs of a sequence are run: each by its own recipe, or through the cross-attention that was trained last,
which in the mode ``shared`` is the only one."""


@dataclass(frozen=True)
class SequenceRecord:
    """Additions to a parent in order. ``digest`` is its job's; ``additions`` are the pairs, position 1 first."""

    digest: str
    parent: str
    name: str
    mode: SequenceMode
    additions: tuple[Pair, ...]
    created: datetime = field(default_factory=now)

    def to_json(self) -> JSONObject:
        return {
            "digest": self.digest,
            "parent": self.parent,
            "name": self.name,
            "mode": self.mode,
            "additions": [str(pair) for pair in self.additions],
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True)
class CellRecord:
    """The score of a pair after the first ``position`` additions of a sequence (0: before any), in one view.

    ``module`` is the one that was trained last, None at position 0; ``recipe`` the digest of what was run. ``carried``
    cells hold the score of an earlier position, whose logits were computed again and found equal.
    """

    sequence: str
    position: int
    view: View
    pair: Pair
    kind: RecipeKind
    recipe: str
    module: str | None
    test: str
    test_digest: str
    metric: str
    value: float
    beam: int
    carried: bool = False

    def to_json(self) -> JSONObject:
        return {
            "sequence": self.sequence,
            "position": self.position,
            "view": self.view,
            "pair": str(self.pair),
            "kind": self.kind,
            "recipe": self.recipe,
            "module": self.module,
            "test": self.test,
            "test_digest": self.test_digest,
            "metric": self.metric,
            "value": self.value,
            "beam": self.beam,
            "carried": self.carried,
        }
