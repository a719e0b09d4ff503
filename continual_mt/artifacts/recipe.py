"""Recipes: which source side, cross-attention and target side form the model of a pair, on which parent.

``continual_mt.inference.assembly`` builds the model of a recipe.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair, SideName

RecipeKind = Literal["original", "supervised", "bridge", "zero-shot", "retention", "pivot"]
"""``pivot`` is the kind of `continual_mt.artifacts.pivot.Pivot`, which chains two recipes; a `Recipe` has another."""


@dataclass(frozen=True, slots=True)
class ModuleKey:
    """The full name of a module (``PARENT/de-en:3``) and the digest of its content."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parts of the model of a pair.

    ``source``, ``cross_attention`` and ``target`` are modules, or None for the parent's own part; ``parent`` and
    ``fingerprint`` are the name and fingerprint of the parent. The module ``cross_attention`` provides all that it
    stores between the sides: cross-attention, encoder and decoder. The encoder is otherwise that of the ``source``
    module if its scope brings one into every pair (`scopes.brings_encoder`). Everything else is the parent's.
    ``several`` are the ends on which the parent has several languages; a side that is the parent's is then that of the
    pair's language.
    """

    kind: RecipeKind
    pair: Pair
    parent: str
    fingerprint: str
    source: ModuleKey | None = None
    cross_attention: ModuleKey | None = None
    target: ModuleKey | None = None
    several: tuple[SideName, ...] = field(default=(), kw_only=True)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the contents that determine the translations, so not of names and kind."""
        source, target = self._side("source", self.source), self._side("target", self.target)
        cross_attention = _content(self.cross_attention)
        # JSON, but without the json module: listing ten thousand pairs computes a digest for each.
        contents = f'["{self.fingerprint}", {source}, {cross_attention}, {target}]'
        return hashlib.sha256(contents.encode()).hexdigest()

    def _side(self, end: SideName, key: ModuleKey | None) -> str:
        return f'"parent:{self.pair.language(end)}"' if key is None and end in self.several else _content(key)

    @property
    def legs(self) -> tuple[Recipe, ...]:
        """The recipes that a sentence runs through: this one alone."""
        return (self,)

    @property
    def modules(self) -> tuple[ModuleKey, ...]:
        """The modules of the recipe, without duplicates."""
        chosen = (self.source, self.cross_attention, self.target)
        return tuple(dict.fromkeys(key for key in chosen if key is not None))

    def __str__(self) -> str:
        parts = (
            f"{part} {key.name if key else self._parents_own(part)}"
            for part, key in (("source", self.source), ("xattn", self.cross_attention), ("target", self.target))
        )
        return f"{self.kind} {self.pair}: " + ", ".join(parts)

    def _parents_own(self, part: str) -> str:
        """The parent's name, with the language where it has several: ``nllb:fr``."""
        language = {"source": self.pair.source, "target": self.pair.target}.get(part)
        return f"{self.parent}:{language}" if part in self.several else self.parent

    def to_json(self) -> dict[str, str | None]:
        return {
            "kind": self.kind,
            "pair": str(self.pair),
            "parent": self.parent,
            "source": self.source.name if self.source else None,
            "cross_attention": self.cross_attention.name if self.cross_attention else None,
            "target": self.target.name if self.target else None,
            "digest": self.digest,
        }


def two_encoders(pair: Pair | str, source: str, other: str) -> IncompatibleError:
    """Return the error for a recipe whose source module and another module (``other``) both bring an encoder."""
    return IncompatibleError(
        f"{pair}: would need two encoders, that of {source} and that of {other}. "
        "Fix: use a source of the scope xattn, or a target of the scope xattn or half"
    )


def _content(key: ModuleKey | None) -> str:
    return f'"{key.digest}"' if key else "null"
