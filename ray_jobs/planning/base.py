"""What an addition is trained against: the parent's sides, or those of modules that are registered already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from continual_mt.artifacts.parent_languages import ENDS, listed
from continual_mt.artifacts.recipe import ModuleKey, two_encoders
from continual_mt.artifacts.rests_on import PARENT_ALONE, RestsOn
from continual_mt.config.spec import DEFAULT_SCOPE, AdditionSpec
from continual_mt.errors import IncompatibleError
from continual_mt.languages import NewSide, Pair, SideName
from continual_mt.model.scopes import Scope, check_side, parse, trained_groups
from registry import ModuleRecord, ParentRecord, Registry
from registry.queries.module_parts import brings_encoder, cross_attention_of, into_parents_target
from registry.queries.recipe_resolver import RecipeResolver

RESTABLE = ("embeddings", "xattn", "xattn-random", "half", "half-lora")
"""The scopes of modules that others may rest on: what they store belongs to one half of the model."""


@dataclass(frozen=True)
class Base:
    """The new sides of an addition, and the modules that it rests on; each None is the parent's.

    ``layers`` are the modules whose cross-attention and decoder it starts from: each changes those before it.
    """

    side: NewSide
    rests_on: RestsOn[ModuleRecord] = PARENT_ALONE
    layers: tuple[ModuleRecord, ...] = ()

    @property
    def keys(self) -> RestsOn[ModuleKey]:
        return self.rests_on.mapped(lambda record: record.key)


NO_BASE = Base("none")
"""Of a job that trains a parent."""


def find_base(registry: Registry, parent: ParentRecord, spec: AdditionSpec) -> Base:
    """Find what an addition of the spec's pair, written in tags, is trained against.

    A pair that shares one side with the parent is trained against that side, unless the spec asks for a bridge. Another
    pair rests on the modules that bring its sides: those that ``on`` names, else those that recipes choose. Raises
    IncompatibleError, with what would work, where there is nothing to train against or the scope does not fit.
    """
    pair = Pair.parse(spec.pair)
    resolver = registry.recipe_catalog.resolver(parent.name, spec.on)
    found = _Sides(registry, parent, resolver, pair, tuple(spec.on), spec.bridge).base(spec)
    scope = scope_on(spec, found)
    try:
        check_side(scope, found.side)
    except ValueError as error:
        raise IncompatibleError(f"{pair}: {error}") from error
    if found.rests_on.modules and parse(scope).name == "scratch":
        raise IncompatibleError(
            f"{pair}: the scope scratch trains a whole model, and cannot rest on other modules. Fix: --scope half, or "
            "--both-new"
        )
    _check_encoders(spec.pair, scope, found)
    return found


def scope_on(spec: AdditionSpec, base: Base) -> Scope:
    """The scope of an addition: for a bridge that the spec does not ask for, xattn takes the place of the default."""
    return "xattn" if base.side == "none" and not spec.bridge and spec.scope == DEFAULT_SCOPE else spec.scope


def recorded_base(registry: Registry, record: ModuleRecord) -> Base:
    """What a registered module was trained against."""
    rests_on = record.rests_on.mapped(lambda key: registry.module(key.name))
    return _resting(registry, record.side, rests_on)


@dataclass(frozen=True)
class _Sides:
    registry: Registry
    parent: ParentRecord
    resolver: RecipeResolver
    pair: Pair
    on: tuple[str, ...]
    is_bridge: bool

    def base(self, spec: AdditionSpec) -> Base:
        if spec.both_new:
            return self._of_two_new_languages()
        languages = self.parent.languages
        own = {end: languages.side(end, self.pair.language(end)) is not None for end in ENDS}
        if any(own.values()) and not spec.bridge:
            side = languages.new_side(self.pair)  # raises the error for a pair of the parent
            self._refuse_on(f"{self.pair} shares a side with the parent, which it is trained against")
            return Base(side)
        modules = {end: self._module(end, own=own[end]) for end in ENDS}
        missing = [end for end in ENDS if not own[end] and modules[end] is None]
        self._check_missing(missing)
        return self._against(modules["source"], modules["target"], missing[0] if missing else "none")

    def _of_two_new_languages(self) -> Base:
        for end in ENDS:
            if self.parent.languages.side(end, language := self.pair.language(end)) is not None:
                raise IncompatibleError(
                    f"--both-new: {language} is a {end} language of the parent already; expected two new languages. "
                    "Fix: leave out --both-new"
                )
        self._refuse_on("--both-new rests on the parent alone")
        return Base("both")

    def _against(self, source: ModuleRecord | None, target: ModuleRecord | None, new: NewSide) -> Base:
        """What is trained between these sides; None is the parent's side, or the new one."""
        between = None
        if target is not None:
            between = cross_attention_of(target)
        elif source is not None:
            between = into_parents_target(source)
        cross_attention = None if between is None else self.registry.module(between.name)
        rests_on = RestsOn(source, cross_attention, target)
        for module in rests_on.modules:
            _check_restable(module)
        self._check_used(rests_on.modules)
        return _resting(self.registry, new, rests_on)

    def _check_missing(self, missing: Sequence[SideName]) -> None:
        """Raise IncompatibleError if too many sides of the pair are neither the parent's nor a module's."""
        pair, parent = self.pair, self.parent
        if missing and self.is_bridge:
            lacked = " and ".join(f"{pair.language(end)} as a {end}" for end in missing)
            raise IncompatibleError(
                f"{pair}: a bridge connects two sides that exist, and neither {parent.name} nor its modules have "
                f"{lacked}. Fix: leave out --bridge"
            )
        if len(missing) == 2:
            raise IncompatibleError(
                f"{pair} shares no side with the parent {parent.languages}, and no module has {pair.source} as a "
                f"source or {pair.target} as a target. Fix: add {self._first_pairs()} first, or train both at once "
                "with --both-new"
            )

    def _module(self, end: SideName, *, own: bool) -> ModuleRecord | None:
        """The module that brings the pair's language on a side: the one that is named, else as recipes choose."""
        chosen = self.resolver.bringing(end, self.pair.language(end), but_for=None if self.is_bridge else self.pair)
        if chosen is None or (own and chosen.pair not in self.resolver.policy.pinned):
            return None
        return self.registry.module(chosen.full_name)

    def _first_pairs(self) -> str:
        """The pairs that would bring one of the two languages."""
        sources, targets = (self.parent.languages.tags(end) for end in ENDS)
        into, out_of = (tags[0] if len(tags) == 1 else f"{{{listed(tags)}}}" for tags in (targets, sources))
        return f"{self.pair.source}-{into} or {out_of}-{self.pair.target}"

    def _refuse_on(self, why: str) -> None:
        if self.on:
            raise IncompatibleError(f"--on {self.on[0]}: {why}. Fix: leave out --on")

    def _check_used(self, modules: Iterable[ModuleRecord]) -> None:
        used = {module.full_name for module in modules}
        for name in self.on:
            named = self.registry.catalog.module(name, parent=self.parent.name)
            if named.full_name not in used:
                raise IncompatibleError(
                    f"--on {name}: it brings neither side of {self.pair} that is not new. Fix: name a module that does"
                )


def _resting(registry: Registry, side: NewSide, rests_on: RestsOn[ModuleRecord]) -> Base:
    top = rests_on.cross_attention
    return Base(side, rests_on, () if top is None else registry.catalog.layers(top))


def _check_restable(module: ModuleRecord) -> None:
    if parse(module.scope).name not in RESTABLE:
        raise IncompatibleError(
            f"{module.full_name} has the scope {module.scope}, which other modules cannot rest on; expected one of "
            f"{', '.join(RESTABLE)}. Fix: name another module with --on"
        )


def _check_encoders(pair: str, scope: Scope, base: Base) -> None:
    """Raise IncompatibleError if the pair would have the encoder of its source module and that of the new module."""
    source = base.rests_on.source
    if source is not None and brings_encoder(source) and "encoder" in trained_groups(scope, base.side):
        raise two_encoders(pair, source.full_name, f"the scope {scope}")
