"""A recipe: which body, source side, cross-attention and target side make the model of a pair."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from continual_mt.architecture import GROUPS, Group
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair
from continual_mt.module import Module
from continual_mt.pair_model import PairModel
from continual_mt.parent import Parent
from continual_mt.side import Side
from continual_mt.transformer import Transformer

RecipeKind = Literal["original", "supervised", "zero-shot", "retention"]


@dataclass(frozen=True, slots=True)
class ModuleKey:
    """A module by its full name (``PARENT/de-en:3``) and the digest of its content."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """``None`` stands for the parent's own piece; the body is the parent's, unless θ_xattn's module has one."""

    kind: RecipeKind
    pair: Pair
    parent: str
    fingerprint: str
    source: ModuleKey | None = None
    cross_attention: ModuleKey | None = None
    target: ModuleKey | None = None

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over the contents that decide what the model answers; names and kind do not."""
        keys = (self.source, self.cross_attention, self.target)
        # A JSON list, written by hand: there is a digest to every one of ten thousand pairs that are listed.
        contents = [f'"{self.fingerprint}"', *(f'"{key.digest}"' if key else "null" for key in keys)]
        return hashlib.sha256(f"[{', '.join(contents)}]".encode()).hexdigest()

    @property
    def modules(self) -> tuple[ModuleKey, ...]:
        """The modules that the recipe needs, each once."""
        chosen = (self.source, self.cross_attention, self.target)
        return tuple(dict.fromkeys(key for key in chosen if key is not None))

    def __str__(self) -> str:
        parts = (
            f"{part} {key.name if key else self.parent}"
            for part, key in (("source", self.source), ("xattn", self.cross_attention), ("target", self.target))
        )
        return f"{self.kind} {self.pair}: " + ", ".join(parts)

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


def assemble(recipe: Recipe, parent: Parent, modules: Mapping[str, Module]) -> PairModel:
    """The model of a recipe, built by pointing at the weights of ``parent`` and of ``modules`` (by full name).

    Raises IncompatibleError when a part is not the recipe's or does not fit the parent, UnknownNameError when a module
    that the recipe names is not given.
    """
    if parent.fingerprint != recipe.fingerprint:
        raise IncompatibleError(
            f"the recipe {recipe} is for the parent {recipe.fingerprint[:12]}, not for {parent.fingerprint[:12]}"
        )

    def chosen(key: ModuleKey | None, group: Group) -> Module | None:
        if key is None:
            return None
        if key.name not in modules:
            raise UnknownNameError(f"the recipe {recipe} needs the module {key.name}, which was not given")
        module = modules[key.name]
        if module.digest != key.digest:
            raise IncompatibleError(f"{key.name} has content {module.digest[:12]}; the recipe wants {key.digest[:12]}")
        module.check_fits(parent)
        if group not in module.groups:
            raise IncompatibleError(
                f"{key.name} has no {group} of its own (scope {module.scope}); leave it to the parent"
            )
        return module

    middle = chosen(recipe.cross_attention, "cross_attention")
    providers: dict[Group, Module | None] = {
        "source": chosen(recipe.source, "source"),
        "encoder": middle,
        "cross_attention": middle,
        "decoder": middle,
        "target": chosen(recipe.target, "target"),
    }
    sides = {
        "source": _side(providers["source"], "source", parent),
        "target": _side(providers["target"], "target", parent),
    }
    if sides["source"].language != recipe.pair.source or sides["target"].language != recipe.pair.target:
        raise IncompatibleError(
            f"the parts of {recipe} translate {sides['source'].language}-{sides['target'].language}"
        )
    tensors = {}
    for group in GROUPS:
        provider = providers[group]
        origin = provider.tensors if provider is not None and group in provider.groups else parent.tensors
        tensors.update({name: tensor for name, tensor in origin.items() if name.startswith(f"{group}.")})
    transformer = Transformer.pointing_at(parent.architecture, tensors)
    return PairModel(recipe.pair, transformer, sides["source"], sides["target"], recipe)


def _side(module: Module | None, name: Literal["source", "target"], parent: Parent) -> Side:
    return module.new_side if module is not None and module.side == name else parent.side(name)
