"""Assembling the model of a recipe from the weights of a parent and of modules, without copying them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.artifacts.side import LanguageSide
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.inference.torch_model import PairModel
from continual_mt.model.architecture import GROUPS, Group
from continual_mt.model.transformer import Transformer


def assemble(recipe: Recipe, parent: Parent, modules: Mapping[str, Module]) -> PairModel:
    """Build the model of a recipe. Its parameters share memory with ``parent`` and ``modules`` (keyed by full name).

    Raises IncompatibleError if the parent or a module has another digest than the recipe's, if a module does not fit
    the parent or lacks the piece, or if the pieces translate another pair; UnknownNameError if a module of the recipe
    is missing from ``modules``.
    """
    if parent.fingerprint != recipe.fingerprint:
        raise IncompatibleError(
            f"recipe {recipe}: made for another parent; expected fingerprint {recipe.fingerprint[:12]}, "
            f"got {parent.fingerprint[:12]}"
        )

    def module_for(key: ModuleKey | None, group: Group) -> Module | None:
        return None if key is None else _checked_module(recipe, key, group, parent, modules)

    cross_attention = module_for(recipe.cross_attention, "cross_attention")
    providers: dict[Group, Module | None] = {
        "source": module_for(recipe.source, "source"),
        "encoder": cross_attention,
        "cross_attention": cross_attention,
        "decoder": cross_attention,
        "target": module_for(recipe.target, "target"),
    }
    sides = {
        "source": _side(providers["source"], "source", parent),
        "target": _side(providers["target"], "target", parent),
    }
    if sides["source"].language != recipe.pair.source or sides["target"].language != recipe.pair.target:
        raise IncompatibleError(
            f"recipe {recipe}: its pieces translate {sides['source'].language}-{sides['target'].language}; "
            f"expected {recipe.pair}"
        )
    tensors = {}
    for group in GROUPS:
        provider = providers[group]
        origin = provider.tensors if provider is not None and group in provider.groups else parent.tensors
        tensors.update({name: tensor for name, tensor in origin.items() if name.startswith(f"{group}.")})
    transformer = Transformer.pointing_at(parent.architecture, tensors)
    return PairModel(recipe.pair, transformer, sides["source"], sides["target"], recipe)


def _checked_module(
    recipe: Recipe, key: ModuleKey, group: Group, parent: Parent, modules: Mapping[str, Module]
) -> Module:
    """Return the module of a recipe that provides ``group``, after checking that it fits."""
    if key.name not in modules:
        raise UnknownNameError(f"recipe {recipe}: needs module {key.name}. Fix: pass it in modules")
    module = modules[key.name]
    if module.digest != key.digest:
        raise IncompatibleError(
            f"module {key.name}: has digest {module.digest[:12]}; expected {key.digest[:12]}, as in the recipe"
        )
    module.check_fits(parent)
    if group not in module.groups:
        raise IncompatibleError(
            f"module {key.name}: stores no {group} (scope {module.scope}). Fix: use the parent's {group}"
        )
    return module


def _side(module: Module | None, name: Literal["source", "target"], parent: Parent) -> LanguageSide:
    return module.new_side if module is not None and module.side == name else parent.side(name)
