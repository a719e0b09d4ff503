"""What a module brings into recipes: its own pair's recipe, its pieces in other pairs, what others can run through."""

from __future__ import annotations

from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn
from continual_mt.errors import IncompatibleError
from continual_mt.languages import NewSide, Pair, ends_of
from continual_mt.model import scopes
from continual_mt.model.architecture import Group
from continual_mt.model.scopes import Scope, reads_encoder, trained_groups
from registry.records.artifacts import ModuleOutline, ParentOutline


def supervised(
    parent: ParentOutline,
    key: ModuleKey,
    pair: Pair,
    side: NewSide,
    scope: Scope,
    rests_on: RestsOn[ModuleKey] = PARENT_ALONE,
) -> Recipe:
    """The pair that a module was trained on, with all the pieces that it has, and else those that it rests on."""
    groups = trained_groups(scope, side)
    source = key if "source" in groups else rests_on.source
    target = key if "target" in groups else rests_on.target
    between = key if reads_encoder(scope, side) else rests_on.cross_attention
    kind: RecipeKind = "bridge" if side == "none" else "supervised"
    several = parent.languages.several
    return Recipe(kind, pair, parent.name, parent.fingerprint, source, between, target, several=several)


def shares_pieces(module: ModuleOutline) -> bool:
    """Whether a module brings a language that works with the parent's other pieces."""
    return module.scope != "scratch" and not module.is_bridge


def has(module: ModuleOutline, group: Group) -> bool:
    """Whether a module stores a group, or uses its parent's."""
    return group in trained_groups(module.scope, module.side)


def cross_attention_of(module: ModuleOutline) -> ModuleKey | None:
    """The module whose cross-attention a module's language goes through; None for the parent's."""
    return module.key if reads_encoder(module.scope, module.side) else module.rests_on.cross_attention


def into_parents_target(source: ModuleOutline) -> ModuleKey | None:
    """The module whose cross-attention leads from a source into a target of the parent; None for the parent's.

    A source that was trained with another module's target reads into that one.
    """
    own = source.side == "source" and source.rests_on.target is None
    return cross_attention_of(source) if own else None


def brings_encoder(module: ModuleOutline) -> bool:
    """Whether a source module's encoder travels with its side into every pair, as that of the scope ``half`` does."""
    return scopes.brings_encoder(module.scope, module.side)


def lends(module: ModuleOutline) -> bool:
    """Whether a module stores anything that another pair can run through."""
    return shares_pieces(module) and set(trained_groups(module.scope, module.side)) > set(ends_of(module.side))


def lent_by(module: ModuleOutline) -> ModuleKey:
    """A module whose cross-attention (or encoder, decoder) another pair runs through.

    Raises IncompatibleError if it stores none that fits.
    """
    if module.scope == "scratch":
        raise IncompatibleError(
            f"{module.full_name} was trained from scratch: its cross-attention fits no pair but {module.pair}"
        )
    if not (lends(module) or module.is_bridge):
        raise IncompatibleError(
            f"{module.full_name} has no separate cross-attention (scope {module.scope}): it uses its parent's"
        )
    return module.key
