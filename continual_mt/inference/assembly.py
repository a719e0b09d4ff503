"""From a recipe to the model of its pair, by pointing at weights that are there."""

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
    """The model of a recipe, built by pointing at the weights of ``parent`` and of ``modules`` (by full name).

    Raises IncompatibleError when a part is not the recipe's or does not fit the parent, UnknownNameError when a module
    that the recipe names is not given.
    """
    if parent.fingerprint != recipe.fingerprint:
        raise IncompatibleError(
            f"the recipe {recipe} is for the parent {recipe.fingerprint[:12]}, not for {parent.fingerprint[:12]}"
        )

    def module_for(key: ModuleKey | None, group: Group) -> Module | None:
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
            f"the parts of {recipe} translate {sides['source'].language}-{sides['target'].language}"
        )
    tensors = {}
    for group in GROUPS:
        provider = providers[group]
        origin = provider.tensors if provider is not None and group in provider.groups else parent.tensors
        tensors.update({name: tensor for name, tensor in origin.items() if name.startswith(f"{group}.")})
    transformer = Transformer.pointing_at(parent.architecture, tensors)
    return PairModel(recipe.pair, transformer, sides["source"], sides["target"], recipe)


def _side(module: Module | None, name: Literal["source", "target"], parent: Parent) -> LanguageSide:
    return module.new_side if module is not None and module.side == name else parent.side(name)
