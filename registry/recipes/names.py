"""Recipes by name: a kind, ``retention:MODULE``, ``bridge:MODULE``, a module, or ``pivot:PAIR+PAIR``."""

from __future__ import annotations

from collections.abc import Sequence

from continual_mt.artifacts.recipe import Recipe, RecipeKind
from continual_mt.errors import IncompatibleError, InputError, LanguageError, UnknownNameError
from continual_mt.languages import Pair
from registry.queries.catalog import Catalog
from registry.queries.recipe_resolver import RecipeResolver
from registry.recipes.named_pivots import HOW_WRITTEN
from registry.recipes.rule import PREFERENCE
from registry.records.artifacts import ModuleRecord, ParentOutline
from registry.records.names import ModuleName

_RETENTION = "retention:"
_BRIDGE = "bridge:"
NAMES = f"{', '.join(PREFERENCE)}, retention:MODULE, bridge:MODULE, {HOW_WRITTEN}, or a module"


def kind_of(name: str) -> RecipeKind | None:
    """The kind that a name is; None for a name that means one recipe."""
    return next((kind for kind in PREFERENCE if kind == name), None)


def parent_in(name: str | None, modules: Sequence[str] = ()) -> str | None:
    """The parent in the name of a recipe, as in ``bridge:germanic/de-nl:1``, else in those of all ``modules``.

    None where they name none, or several.
    """
    recipe = (name or "").removeprefix(_RETENTION).removeprefix(_BRIDGE)
    named = [one.partition("/")[0] if "/" in one else None for one in (recipe, *check_list(modules))]
    return named[0] or (named[1] if len(set(named[1:])) == 1 else None)


def check_list(names: Sequence[str]) -> Sequence[str]:
    """Return names of modules. Raises InputError for a text in place of a list."""
    if isinstance(names, str):
        raise InputError(f"modules is a string; expected a list of names; write modules=[{names[:80]!r}]")
    return names


def recipe_of_name(catalog: Catalog, owner: ParentOutline, pair: Pair, name: str) -> Recipe:
    """The recipe of a pair, in tags, that a name means which is neither a kind nor a pivot.

    A module means the recipe that it was trained for. Raises UnknownNameError for other names, and
    IncompatibleError for a module of another pair or one that does not fit.
    """
    if name.startswith(_RETENTION):
        module = catalog.module(name.removeprefix(_RETENTION), parent=owner.name)
        resolver = RecipeResolver.of(owner, [])
        if not resolver.can_run(pair):
            raise UnknownNameError(
                f"{name}: retention is measured on the pairs of the parent {owner.name}, not of {pair}; "
                f"expected a pair of {owner.languages}"
            )
        return resolver.through(resolver.choose(pair, "original"), module)
    if name.startswith(_BRIDGE):
        module = catalog.module(name.removeprefix(_BRIDGE), parent=owner.name)
        if not module.is_bridge:
            raise IncompatibleError(
                f"{name}: {module.full_name} is no bridge: it brings a language. Fix: name it without bridge:"
            )
        return _trained(owner, pair, module)
    try:
        ModuleName.parse(name)
    except (LanguageError, UnknownNameError):
        raise UnknownNameError(
            f"unknown recipe {name[:80]!r}; expected {NAMES} such as {pair}:1, which means just this version"
        ) from None
    return _trained(owner, pair, catalog.module(name, parent=owner.name))


def _trained(owner: ParentOutline, pair: Pair, module: ModuleRecord) -> Recipe:
    if module.parent != owner.name:
        raise IncompatibleError(f"{module.full_name} belongs to the parent {module.parent}, not to {owner.name}")
    if module.pair != pair:
        raise IncompatibleError(f"{module.full_name} was trained on {module.pair}, so it is no recipe of {pair}")
    return RecipeResolver.of(owner, [module]).supervised(module)
