"""What an addition restores from noise, and the frozen side of the same language that it trains through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn
from continual_mt.config.monolingual_spec import DenoisingSpec
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair, SideName
from continual_mt.model.scopes import parse
from ray_jobs.planning.base import RESTABLE, Base
from ray_jobs.planning.initialisation import ResolvedText
from registry import Input, ModuleRecord, ParentRecord, Registry
from registry.queries.recipe_resolver import RecipeResolver

VERSION = 1
"""Increased whenever the same spec starts to give other noise, or to train in another way."""


@dataclass(frozen=True)
class FrozenSide:
    """A side that exists, of an addition's new language on its other ``end``, with its half of the body.

    It is that of ``pair``, which ``module`` brought, or the parent's own; ``base`` is what the pair runs with.
    """

    end: SideName
    pair: Pair
    module: ModuleRecord | None
    base: Base

    @property
    def inputs(self) -> tuple[Input, ...]:
        module = self.module
        return () if module is None else (Input("trained-through", module.full_name, module.digest),)


@dataclass(frozen=True)
class Denoising:
    """What an addition restores from noise: ``text`` was read, and ``through`` is the frozen side of its language."""

    spec: DenoisingSpec
    text: ResolvedText
    through: FrozenSide

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what is trained on beside the seed, as JSON."""
        module = self.through.module
        described = {"version": VERSION, "text": self.text.digest, "through": None if module is None else module.digest}
        return described | self.spec.model_dump(include={"share", "drop", "distance"})


def find_frozen_side(registry: Registry, parent: ParentRecord, spec: AdditionSpec, base: Base) -> FrozenSide:
    """Find the side through which an addition denoises: the parent's own, or one that a module brings.

    Raises IncompatibleError, with what would work, if none exists or the addition trains both halves of the model.
    """
    if base.side not in ENDS:
        what = "a bridge has no new language" if base.side == "none" else "it needs a side of one new language"
        raise IncompatibleError(f"denoising: {what}. Fix: leave it out")
    if parse(spec.scope).name not in RESTABLE:
        raise IncompatibleError(
            f"denoising: the scope {spec.scope} also trains the half of the model that would have to be frozen; "
            f"expected one of {', '.join(RESTABLE)}"
        )
    language = Pair.parse(spec.pair).language(base.side)
    end: SideName = "source" if base.side == "target" else "target"
    named = spec.denoising.through if spec.denoising else None
    if named is None and parent.languages.side(end, language) is not None:
        other = next(tag for tag in parent.languages.tags(base.side) if tag != language)
        pair = Pair(language, other) if end == "source" else Pair(other, language)
        return FrozenSide(end, pair, None, Base("none"))
    if named is not None:
        module = registry.module(named, parent=parent.name)
    else:
        found = registry.recipe_catalog.resolver(parent.name).bringing(end, language)
        if found is None:
            raise _missing(parent, spec, language, end)
        module = registry.module(found.full_name)
    return side_of_module(registry, parent, module, language, end)


def side_of_module(
    registry: Registry, parent: ParentRecord, module: ModuleRecord, language: str, end: SideName
) -> FrozenSide:
    """Return the side that a module brings, with what the module's pair runs with.

    Raises IncompatibleError if it brings no side of the language on this end that can be used with another half.
    """
    if module.parent != parent.name or module.brings(end) != language or parse(module.scope).name not in RESTABLE:
        raise IncompatibleError(
            f"denoising: {module.full_name}, with the scope {module.scope}, is no module of {parent.name} that brings "
            f"{language} as a {end} with one of the scopes {', '.join(RESTABLE)}. Fix: name another one with "
            "--set denoising.through=MODULE"
        )
    recipe = RecipeResolver.of(parent, [module]).supervised(module)
    parts = {"source": recipe.source, "cross_attention": recipe.cross_attention, "target": recipe.target}
    records = {part: registry.module(key.name) for part, key in parts.items() if key is not None}
    rests_on: RestsOn[ModuleRecord] = RestsOn(**records) if records else PARENT_ALONE
    top = rests_on.cross_attention
    layers = () if top is None else registry.catalog.layers(top)
    return FrozenSide(end, module.pair, module, Base("none", rests_on, layers))


def _missing(parent: ParentRecord, spec: AdditionSpec, language: str, end: SideName) -> IncompatibleError:
    what = "encoder reads" if end == "source" else "decoder writes"
    return IncompatibleError(
        f"denoising: no {what} {language}: neither {parent.name} nor its modules have it as a {end}, so that "
        f"{spec.pair} has nothing frozen to restore it through. Fix: add a pair with {language} as a {end} first, or "
        "leave out denoising"
    )
