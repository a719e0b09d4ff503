"""Assembling the model of a recipe from the weights of a parent and of modules, without copying them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS, listed
from continual_mt.artifacts.recipe import ModuleKey, Recipe, two_encoders
from continual_mt.artifacts.side import LanguageSide
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Group
from continual_mt.model.scopes import brings_encoder
from continual_mt.model.transformer import Transformer


def assemble(recipe: Recipe, parent: Parent, modules: Mapping[str, Module]) -> PairModel:
    """Build the model of a recipe. Its parameters share memory with ``parent`` and ``modules`` (keyed by full name).

    ``modules`` has those of the recipe, and those whose cross-attention these rest on. Matrices with low-rank updates
    are computed once a module.

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
    layers = _layers(recipe, between, parent, modules)
    new = {"source": _new_side(source, "source"), "target": _new_side(target, "target")}
    for end in ENDS:
        _require_language(recipe, end, new[end], parent)
    from_new, into_new = (None if side is None else side.tokenizer for side in new.values())
    source_side, target_side = parent.sides(recipe.pair, from_new, into_new)
    _check_encoders(recipe, source, layers)
    tensors = weights_of_pair(parent, recipe.pair, source, layers, target)
    transformer = Transformer.pointing_at(parent.architecture, tensors)
    return PairModel(recipe.pair, transformer, source_side, target_side, recipe)


def weights_of_pair(
    parent: Parent, pair: Pair, source: Module | None, layers: Sequence[Module], target: Module | None
) -> dict[str, Tensor]:
    """Return the parameters of a pair's model by name: the parent's, changed by modules.

    ``source`` and ``target`` bring sides, and ``layers`` what is between, in the order in which they change it. Nothing
    is checked or copied.
    """
    of_source = source is not None and brings_encoder(source.scope, source.side)
    sides = {"source": [source] if source else [], "target": [target] if target else []}
    providers: dict[Group, Sequence[Module]] = {
        "source": sides["source"],
        "encoder": sides["source"] if of_source else [one for one in layers if "encoder" in one.groups],
        "cross_attention": layers,
        "decoder": layers,
        "target": sides["target"],
    }
    tensors = dict(parent.tensors_of(pair))
    for group in GROUPS:
        for module in providers[group]:
            tensors.update(module.weights(group, tensors))
    return tensors


def _layers(recipe: Recipe, between: Module | None, parent: Parent, modules: Mapping[str, Module]) -> list[Module]:
    """Return the modules between the sides: those whose cross-attention ``between`` rests on, then itself.

    Each changes the weights that those before it left.
    """
    of_digest = {module.digest: module for module in modules.values()}
    layers: list[Module] = []
    while between is not None:
        layers.insert(0, between)
        below = between.rests_on.cross_attention
        if below is not None and below not in of_digest:
            raise UnknownNameError(
                f"recipe {recipe}: {between.pair} rests on the module {below[:12]}. Fix: pass it in modules"
            )
        between = None if below is None else of_digest[below]
        if between is not None:
            between.check_fits(parent)
    return layers


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
    if module is not None and set(module.groups) <= set(ENDS):
        assert recipe.cross_attention is not None
        raise IncompatibleError(
            f"module {recipe.cross_attention.name}: stores no cross_attention (scope {module.scope}). "
            "Fix: use the parent's cross_attention"
        )


def _check_encoders(recipe: Recipe, source: Module | None, layers: Sequence[Module]) -> None:
    """Raise IncompatibleError if both the source module and what is between the sides bring an encoder."""
    if source is None or not brings_encoder(source.scope, source.side):
        return
    if any("encoder" in module.groups and module is not source for module in layers):
        assert recipe.source is not None
        assert recipe.cross_attention is not None
        raise two_encoders(recipe.pair, recipe.source.name, recipe.cross_attention.name)


def _new_side(module: Module | None, end: SideName) -> LanguageSide | None:
    """Return the side that a module brings on this end, None for the parent's own."""
    return module.new_sides.get(end) if module is not None else None


def _require_language(recipe: Recipe, end: SideName, new: LanguageSide | None, parent: Parent) -> None:
    language = recipe.pair.language(end)
    found = [new.language] if new is not None else parent.languages.tags(end)
    if language not in found:
        raise IncompatibleError(
            f"recipe {recipe}: its {end} side is {listed(found)}; expected {language}, as in {recipe.pair}"
        )
