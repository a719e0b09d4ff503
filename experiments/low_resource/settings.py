"""The languages, the text of each pair, and the systems that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARENTS = {"tatoeba-fr": "fr-en", "tatoeba-es": "es-en"}
PARENT_OF = {
    "ha-en": "tatoeba-fr",
    "yo-en": "tatoeba-fr",
    "sw-en": "tatoeba-fr",
    "fr-wo": "tatoeba-fr",
    "fr-bm": "tatoeba-fr",
    "es-gn": "tatoeba-es",
}
"""The pairs, each with the parent that has one of its languages."""
CHOSEN_ON = {"source": "ha-en", "target": "fr-wo"}
"""The pairs whose dropout all others with a new language on that side take over."""
DROPOUTS = (0.1, 0.3)

BEAM = 5
RESOURCES = {"cpus": 1}
PARENT_TRAINING: dict[str, Any] = {"batch_tokens": 2048, "accumulate": 1, "updates": 6000, "validate_every": 250}
PARENT_TRAINING |= {"patience": 4}
TRAINING: dict[str, Any] = {"batch_tokens": 1024, "accumulate": 1, "warmup": 100, "validate_every": 100, "patience": 4}
TRAINING |= {"updates": 4000}
FROM_NOISE = {"learning_rate": 5e-4, "learning_rates": {"source": 3e-3, "target": 3e-3}}
"""The rates of embeddings that start as noise; what starts from the parent's has the default ones."""
ALONE_TRAINING: dict[str, Any] = {**TRAINING, "updates": 8000, "learning_rate": 1e-3}
JOINT_TRAINING: dict[str, Any] = {**PARENT_TRAINING, "updates": 12000}
"""Those of a parent, with more updates: the text of a small pair is repeated beside the whole text of the parent."""
SAMPLING_TEMPERATURE = 5.0
"""The default. An epoch draws the 3,018 sentence pairs of ha-en 24 times, and the 162,000 of fr-en once."""


@dataclass(frozen=True)
class Added:
    """A way to add a language to a parent."""

    keys: Mapping[str, Any]
    training: Mapping[str, Any]


ADDITIONS = {
    "half, lexical": Added({"scope": "half", "initialisation": "lexical"}, {}),
    "xattn, random": Added({"scope": "xattn", "initialisation": "random"}, FROM_NOISE),
}
SYSTEMS = HALF, XATTN, SCRATCH, JOINT = (*ADDITIONS, "scratch", "joint")
"""``scratch`` is a model of the small text alone, with separate vocabularies that its text alone decides.

``joint`` is one model of the pair and of the parent's pair, trained on both texts at once.
"""
COMPARED = (SCRATCH, XATTN, JOINT)
"""The systems that ``half`` is compared with."""
TESTS = ("test", "flores")
"""The test set of the pair's domain, and FLORES-200."""


def side_of(pair: str) -> str:
    """The side that a language is added on."""
    return "source" if pair.endswith("-en") else "target"
