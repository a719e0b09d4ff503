"""Assembling the model of a recipe from the weights of a parent and of modules, without copying them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS, listed
from continual_mt.artifacts.recipe import ModuleKey, Recipe, two_encoders
from continual_mt.artifacts.side import LanguageSide
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import SideName
from continual_mt.model.architecture import GROUPS, Group
from continual_mt.model.scopes import brings_encoder
from continual_mt.model.transformer import Transformer


def assemble(recipe: Recipe, parent: Parent, modules: Mapping[str, Module]) -> PairModel:
    """Build the model of a recipe. Its parameters share memory with ``parent`` and ``modules`` (keyed by full name).

    Matrices with low-rank updates are computed once a module.

    Raises IncompatibleError if the parent or a module has another digest than the recipe's, if a module does not fit
    the parent or lacks the piece, if the recipe would need two encoders, or if the pieces translate another pair;
    UnknownNameError if a module of the recipe is missing from ``modules``.
    """
    if parent.fingerprint != recipe.fingerprint:
        raise IncompatibleError(
            f"recipe {recipe}: made for another parent; expected fingerprint {recipe.fingerprint[:12]}, "
            f"got {parent.fingerprint[:12]}"
        )

    def module_for(key: ModuleKey | None) -> Module | None:
        return None if key is None else _checked_module(recipe, key, parent, modules)

    source, between, target = map(module_for, (recipe.source, recipe.cross_attention, recipe.target))
    _require_side(recipe, recipe.source, source, "source")
    _require_side(recipe, recipe.target, target, "target")
    _require_between(recipe, between)
    providers: dict[Group, Module | None] = {
        "source": source,
        "encoder": _encoder_module(recipe, source, between),
        "cross_attention": between,
        "decoder": between,
        "target": target,
    }
    new = {end: _new_side(providers[end], end) for end in ENDS}
    for end in ENDS:
        _require_language(recipe, end, new[end], parent)
    from_new, into_new = (None if side is None else side.tokenizer for side in new.values())
    source_side, target_side = parent.sides(recipe.pair, from_new, into_new)
    own, tensors = parent.tensors_of(recipe.pair), dict[str, Tensor]()
    for group in GROUPS:
        provider = providers[group]
        tensors.update({name: tensor for name, tensor in own.items() if name.startswith(f"{group}.")})
        if provider is not None:
            tensors.update(provider.weights(group, parent))
    transformer = Transformer.pointing_at(parent.architecture, tensors)
    return PairModel(recipe.pair, transformer, source_side, target_side, recipe)


def _checked_module(recipe: Recipe, key: ModuleKey, parent: Parent, modules: Mapping[str, Module]) -> Module:
    """Return a module of a recipe, after checking that it is the right one and fits."""
    if key.name not in modules:
        raise UnknownNameError(f"recipe {recipe}: needs module {key.name}. Fix: pass it in modules")
    module = modules[key.name]
    if module.digest != key.digest:
        raise IncompatibleError(
            f"module {key.name}: has digest {module.digest[:12]}; expected {key.digest[:12]}, as in the recipe"
        )
    module.check_fits(parent)
    return module


def _require_side(recipe: Recipe, key: ModuleKey | None, module: Module | None, group: Group) -> None:
    if key is not None and module is not None and group not in module.groups:
        raise IncompatibleError(
            f"module {key.name}: stores no {group} (scope {module.scope}). Fix: use the parent's {group}"
        )


def _require_between(recipe: Recipe, module: Module | None) -> None:
    if module is not None and set(module.groups) <= {module.side}:
        assert recipe.cross_attention is not None
        raise IncompatibleError(
            f"module {recipe.cross_attention.name}: stores no cross_attention (scope {module.scope}). "
            "Fix: use the parent's cross_attention"
        )


def _encoder_module(recipe: Recipe, source: Module | None, between: Module | None) -> Module | None:
    """Return the module whose encoder runs, None for the parent's. Raises IncompatibleError if there would be two."""
    of_source = source if source is not None and brings_encoder(source.scope, source.side) else None
    of_between = between if between is not None and "encoder" in between.groups else None
    if of_source is not None and of_between is not None and of_source is not of_between:
        assert recipe.source is not None
        assert recipe.cross_attention is not None
        raise two_encoders(recipe.pair, recipe.source.name, recipe.cross_attention.name)
    return of_between or of_source


def _new_side(module: Module | None, end: SideName) -> LanguageSide | None:
    """Return the side that a module brings on this end, None for the parent's own."""
    return module.new_side if module is not None and module.side == end else None


def _require_language(recipe: Recipe, end: SideName, new: LanguageSide | None, parent: Parent) -> None:
    language = recipe.pair.language(end)
    found = [new.language] if new is not None else parent.languages.tags(end)
    if language not in found:
        raise IncompatibleError(
            f"recipe {recipe}: its {end} side is {listed(found)}; expected {language}, as in {recipe.pair}"
        )
