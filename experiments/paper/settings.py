"""The parents, the settings that are compared, and the learning rates that are searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.config.hyperparameters import Initialisation
from continual_mt.languages import NewSide
from continual_mt.model.architecture import Group
from continual_mt.model.scopes import Scope, adds_tensors, trained_groups

ARCHITECTURE = {"norm": "pre", "final_norm": True, "positions": "learned", "embedding_norm": True}
"""That of the paper, at width 256 with 3+3 layers, as the default is."""
PARENTS = {"paper-full": "full", "paper-third": "third-parent"}
"""The text that each parent of fr-en is trained on."""
PARENT_TRAINING: dict[str, Any] = {"batch_tokens": 2048, "accumulate": 1, "updates": 4000, "validate_every": 200}
PARENT_TRAINING |= {"patience": 4}
TRAINING: dict[str, Any] = {"batch_tokens": 1024, "accumulate": 1, "warmup": 100, "validate_every": 100, "patience": 3}
# With the default, 500 sentences, the score of one update and the next differ by up to 1 BLEU.
TRAINING |= {"development_sentences": 1014}
UPDATES: Mapping[Scope, int] = {"scratch": 8000}
MOST_UPDATES = 4000
"""Limits that patience is to come before: a training that its limit ended counts for nothing."""
BEAM = 5
RESOURCES = {"cpus": 1}

SETTINGS: tuple[tuple[Scope, Initialisation], ...] = (
    ("half", "lexical"),
    ("xattn", "random"),
    ("scratch", "random"),
    ("body", "lexical"),
    ("half-lora:rank=16", "lexical"),
    ("body", "random"),
    ("xattn", "lexical"),
    ("embeddings", "lexical"),
    ("embeddings", "random"),
    ("half", "random"),
    ("half-lora:rank=16", "random"),
    ("xattn-random", "random"),
    ("xattn-random", "lexical"),
)
"""Scopes and starts, in the order in which they are searched."""
SEARCHED: Mapping[NewSide, str] = {"source": "de-en", "target": "fr-cs"}
"""The pair whose rates all pairs with a new language on that side take over."""
PAIRS = ("de-en", "cs-en", "fr-de", "fr-cs")
Size = tuple[int, Scope]
SMALL: tuple[Size, ...] = (
    (8000, "half-lora:rank=16"),
    (4000, "half-lora:rank=16"),
    (2000, "half-lora:rank=16"),
    (1000, "half-lora:rank=16"),
    (1000, "half-lora:rank=8"),
    (500, "half-lora:rank=8"),
)
"""Types of the new side, and scopes, of modules of few bytes. The last has 4.5 % of a parent's parameters for a new
source, and 5.3 % for a new target."""
LOSS = 0.3
"""The most BLEU that a small module may lose against `half`, in the mean of pairs."""
STORED: tuple[tuple[Scope, Initialisation], ...] = (
    ("half", "lexical"),
    ("half-lora:rank=16", "lexical"),
    ("xattn", "random"),
)
"""What is also tested in these precisions."""
PRECISIONS: tuple[StoredPrecision, ...] = ("bfloat16", "int8")
ZERO_SHOT = {"de-cs": ("de-en", "fr-cs"), "cs-de": ("cs-en", "fr-de")}
"""The pairs that nothing was trained for, and those whose modules make them."""
TEXTS: Mapping[str, tuple[str, Mapping[NewSide, str]]] = {
    "full": ("paper-full", {"source": "full", "target": "full"}),
    "3k": ("paper-full", {"source": "full-3000", "target": "full-3000"}),
    "thirds": ("paper-third", {"source": "third-source", "target": "third-target"}),
}
"""The parent and the text of the additions of each table. Thirds share no caption with each other or the parent's."""
DROPOUTS = (0.1, 0.3)
"""With 3,000 captions the dropout is chosen again."""
WITHOUT_RETENTION = ("scratch", "embeddings")
"""Scopes without retention: one shares nothing with the parent, the other stores nothing but its side."""
SEEDS: Mapping[tuple[Scope, Initialisation], tuple[int, ...]] = {
    ("half", "lexical"): (1, 2, 3),
    ("xattn", "random"): (1, 2, 3),
    ("scratch", "random"): (1, 2, 3),
    ("body", "random"): (1, 2, 3),
    ("body", "lexical"): (1, 2, 3),
}
"""The other settings have one seed."""

Rates = tuple[tuple[tuple[Group, ...], float], ...]
"""One rate for each set of groups that share it, in the order in which they are searched."""
_OF_SIDES = (3e-4, 1e-3, 3e-3, 1e-2)
_OF_MATRICES = (1e-4, 3e-4, 1e-3, 3e-3)
_OF_ADDED = (5e-4, 1.5e-3, 5e-3, 1.5e-2)
_OF_ALL = (3e-4, 1e-3, 2e-3, 4e-3)


def grids(scope: Scope, side: NewSide) -> list[tuple[tuple[Group, ...], tuple[float, ...]]]:
    """The groups of which one rate is searched, each with its four values, ascending.

    The parameters of a new side have one rate, and all that start from the parent's have another.
    """
    groups = trained_groups(scope, side)
    if scope == "scratch":
        return [(groups, _OF_ALL)]
    new = tuple(group for group in groups if group in ("source", "target"))
    rest = tuple(group for group in groups if group not in new)
    found: list[tuple[tuple[Group, ...], tuple[float, ...]]] = [(new, _OF_SIDES)]
    return [*found, (rest, _OF_ADDED if adds_tensors(scope) else _OF_MATRICES)] if rest else found


def first_rates(scope: Scope, side: NewSide) -> Rates:
    """Where the search starts: the third of each grid for a new side, the second for the others."""
    (first, *rest) = grids(scope, side)
    return ((first[0], first[1][2 if scope != "scratch" else 1]), *((groups, values[1]) for groups, values in rest))


def by_group(rates: Rates) -> dict[Group, float]:
    return {group: rate for groups, rate in rates for group in groups}


def training(rates: Mapping[Group, float], scope: Scope) -> dict[str, Any]:
    """The keys of an addition's training, but for the dropout."""
    return {**TRAINING, "updates": UPDATES.get(scope, MOST_UPDATES), "learning_rates": dict(rates)}


def side_of(pair: str) -> NewSide:
    """The side of the new language of a pair that is added to a parent of fr-en."""
    return "source" if pair.endswith("-en") else "target"


@dataclass(frozen=True)
class Setting:
    """One training: what its row of results is known by, without the rates."""

    part: ClassVar[str] = "trained"
    parent: str
    pair: str
    text: str
    scope: Scope
    start: Initialisation
    seed: int = 1
    dropout: float = 0.1

    @property
    def side(self) -> NewSide:
        return side_of(self.pair)

    def labels(self, rates: Rates) -> dict[str, Any]:
        return {**asdict(self), "rates": by_group(rates)}

    def keys(self, rates: Rates) -> dict[str, Any]:
        """The keys of the spec that do not name text."""
        return {
            "parent": self.parent,
            "pair": self.pair,
            "scope": self.scope,
            "initialisation": self.start,
            "seed": self.seed,
            "beam": BEAM,
            "resources": RESOURCES,
            "training": {**training(by_group(rates), self.scope), "dropout": self.dropout},
        }


@dataclass(frozen=True, kw_only=True)
class Small(Setting):
    """An addition with fewer types than the default has, whose weights are stored in int8."""

    part: ClassVar[str] = "small"
    types: int

    def keys(self, rates: Rates) -> dict[str, Any]:
        return {**super().keys(rates), "vocabulary": self.types, "stored_precision": "int8"}
