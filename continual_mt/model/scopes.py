"""Scopes: which parameters an addition trains and stores.

A scope is a name, for some names with options after a colon: ``half``, ``xattn:layers=4-6,parts=query+key``,
``half-lora:rank=16``. Equal scopes have one canonical spelling, which is what specs, modules and records store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal, get_args

from continual_mt.languages import NewSide, ends_of
from continual_mt.model.architecture import (
    ADAPTER,
    ATTENTION_PARTS,
    GROUPS,
    Architecture,
    AttentionPart,
    Group,
    group_names,
    matrix_shape,
)
from continual_mt.suggest import suggest

Scope = str
"""A scope in its canonical spelling: what `canonical` returns."""
PlainScope = Literal["embeddings", "xattn", "xattn-random", "half", "body", "scratch"]
PLAIN_SCOPES: tuple[PlainScope, ...] = get_args(PlainScope)
"""The scopes that train parameters of the model; the others add tensors to it."""
ScopeName = PlainScope | Literal["half-lora", "lora", "adapter"]
SCOPES: tuple[ScopeName, ...] = (*PLAIN_SCOPES, "half-lora", "lora", "adapter")
DEFAULT_RANK, DEFAULT_SIZE = 16, 64

# The last option of a scope may be written without its name.
_OPTIONS: Mapping[ScopeName, tuple[str, ...]] = {
    "xattn": ("layers", "parts"),
    "half-lora": ("rank",),
    "lora": ("rank",),
    "adapter": ("size",),
}
_SHOWN = 80
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class ParsedScope:
    """A scope as values.

    ``layers`` (decoder layers, counted from 1) and ``parts`` limit θ_xattn to some of its parameters; empty is all.
    ``rank`` is that of low-rank updates, ``size`` that of the bottleneck of adapters; 0 without them.
    """

    name: ScopeName
    layers: tuple[int, ...] = ()
    parts: tuple[AttentionPart, ...] = ()
    rank: int = 0
    size: int = 0

    def __str__(self) -> Scope:
        options = [f"layers={_as_ranges(self.layers)}"] if self.layers else []
        options += [f"parts={'+'.join(self.parts)}"] if self.parts else []
        options += [f"{key}={value}" for key, value in (("rank", self.rank), ("size", self.size)) if value]
        return f"{self.name}:{','.join(options)}" if options else self.name


@lru_cache(maxsize=1024)
def parse(text: str) -> ParsedScope:
    """Read a scope in any spelling: options in any order, defaults left out, ``xattn:query`` for ``xattn:parts=query``.

    Raises ValueError, in one line, for an unknown name, for unknown options, and for values that select nothing.
    """
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:_SHOWN]}…: has {len(text):,} characters; expected at most {_LONGEST}")
    name, colon, rest = text.partition(":")
    if name not in SCOPES:
        raise ValueError(f"unknown scope {name!r}{suggest(name, SCOPES)}; expected one of {', '.join(SCOPES)}")
    known = _OPTIONS.get(name, ())
    if colon and not known:
        raise ValueError(f"{text}: the scope {name} has no options. Fix: write {name}")
    options: dict[str, str] = {}
    for item in rest.split(",") if colon else ():
        key, _, value = item.strip().rpartition("=")
        key = key.strip() or known[-1]
        if key not in known:
            raise ValueError(f"{text}: unknown option {key!r}{suggest(key, known)}; expected {' or '.join(known)}")
        if key in options:
            raise ValueError(f"{text}: {key} is given twice; expected it once")
        options[key] = value
    parsed = ParsedScope(name)
    if "rank" in known:
        parsed = replace(parsed, rank=_number(text, "rank", options.get("rank", str(DEFAULT_RANK))))
    if "size" in known:
        parsed = replace(parsed, size=_number(text, "size", options.get("size", str(DEFAULT_SIZE))))
    if "layers" in options:
        parsed = replace(parsed, layers=_layers(text, options["layers"]))
    if "parts" in options:
        parsed = replace(parsed, parts=_parts(text, options["parts"]))
    return parsed


def canonical(text: str) -> Scope:
    """Return the one spelling of a scope. Raises ValueError as `parse` does."""
    return str(parse(text))


def is_canonical(text: str) -> bool:
    """Tell whether ``text`` is a scope in its canonical spelling."""
    try:
        return canonical(text) == text
    except ValueError:
        return False


def adds_tensors(text: object) -> bool:
    """Tell whether ``text`` is a scope, in any spelling, that adds tensors to the model."""
    try:
        return isinstance(text, str) and parse(text).name not in PLAIN_SCOPES
    except ValueError:
        return False


def fitted(scope: Scope, architecture: Architecture) -> Scope:
    """Return the spelling of a scope for an architecture: all of its layers are left out, as they mean the same.

    Raises ValueError if the scope does not fit the architecture.
    """
    parsed, count = parse(scope), architecture.decoder_layers
    smallest = min(architecture.width, architecture.feed_forward)
    if parsed.rank >= smallest:
        raise ValueError(
            f"{scope}: rank {parsed.rank} is too large; expected less than {smallest}, the smallest size of the "
            "parent's matrices"
        )
    if parsed.size > architecture.feed_forward:
        raise ValueError(
            f"{scope}: size {parsed.size} is too large; expected at most {architecture.feed_forward}, the size of the "
            "parent's feed-forward layers"
        )
    if outside := [layer for layer in parsed.layers if layer > count]:
        raise ValueError(f"{scope}: the parent has no decoder layer {outside[0]}; expected layers from 1 to {count}")
    return str(replace(parsed, layers=()) if len(parsed.layers) == count else parsed)


def without_layers(scope: Scope) -> Scope:
    """Return the spelling of a scope for a parent that has no other decoder layers than those that it names."""
    return str(replace(parse(scope), layers=()))


def _number(text: str, key: str, value: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", value.strip()):
        raise ValueError(f"{text}: {key} is {value!r}; expected a whole number from 1")
    return int(value)


def _layers(text: str, value: str) -> tuple[int, ...]:
    found: set[int] = set()
    for item in value.split("+"):
        match = re.fullmatch(r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?", item.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ValueError(
                f"{text}: layers is {value!r}; expected numbers from 1 and ranges joined by +, such as 4-6 or 1+3"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _parts(text: str, value: str) -> tuple[AttentionPart, ...]:
    given = {part.strip() for part in value.split("+")}
    for part in sorted(given.difference(ATTENTION_PARTS)):
        expected = f"expected some of {', '.join(ATTENTION_PARTS)}, joined by +"
        raise ValueError(f"{text}: unknown part {part!r}{suggest(part, ATTENTION_PARTS)}; {expected}")
    return tuple(part for part in ATTENTION_PARTS if part in given) if len(given) < len(ATTENTION_PARTS) else ()


def _as_ranges(numbers: Iterable[int]) -> str:
    """Return 1+3-5 for the ascending numbers 1, 3, 4 and 5."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    return "+".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in ranges)


def check_side(scope: Scope, side: NewSide) -> None:
    """Check that an addition of this scope can have these new sides.

    An addition with two new sides keeps the body frozen, and one with none trains θ_xattn or a low-rank change of it.
    Raises ValueError.
    """
    name = parse(scope).name
    if side in ("source", "target") or name in _SCOPES_OF[side]:
        return
    what = "with two new sides" if side == "both" else "between two sides that exist (a bridge)"
    raise ValueError(f"{scope}: cannot be the scope of an addition {what}; expected {' or '.join(_SCOPES_OF[side])}")


_SCOPES_OF: Mapping[NewSide, tuple[ScopeName, ...]] = {
    "both": ("embeddings", "xattn", "xattn-random"),
    "none": ("xattn", "lora"),
}


@cache
def trained_groups(scope: Scope, side: NewSide) -> tuple[Group, ...]:
    """Return the groups of which an addition trains and stores parameters, if the new language is on ``side``."""
    chosen: set[Group] = set(ends_of(side))
    match parse(scope).name:
        case "xattn" | "xattn-random":
            chosen |= {"cross_attention"}
        case "half" | "half-lora":
            chosen |= {"encoder"} if side == "source" else {"cross_attention", "decoder"}
        case "lora" if side == "none":
            chosen = {"cross_attention"}
        case "body" | "lora":
            chosen |= {"encoder", "decoder", "cross_attention"}
        case "adapter":
            chosen |= {"encoder", "decoder"}
        case "scratch":
            chosen = set(GROUPS)
    return tuple(group for group in GROUPS if group in chosen)


def brings_encoder(scope: Scope, side: NewSide) -> bool:
    """Tell whether a module is a source whose encoder travels with its side into every pair."""
    return side == "source" and parse(scope).name in ("half", "half-lora", "lora", "adapter")


def reads_encoder(scope: Scope, side: NewSide) -> bool:
    """Tell whether a module has something that reads the encoder's output: cross-attention or decoder."""
    return not {"cross_attention", "decoder"}.isdisjoint(trained_groups(scope, side))


def trainable_names(architecture: Architecture, scope: Scope, side: NewSide) -> tuple[str, ...]:
    """Return the full names of the tensors that an addition with this scope trains and stores.

    ``embeddings`` trains the new language's side, ``xattn`` and ``xattn-random`` also θ_xattn, ``body`` also the body,
    and ``scratch`` everything (Gheini, Ren and May, 2021, section 3, where ``embeddings`` is called ``{src,tgt}``).
    ``xattn:layers=…,parts=…`` trains only these parts of θ_xattn in these layers; the part ``norm`` is the layer norm.
    ``half`` trains everything on the new language's side of the encoder's output: a new source also θ_enc, a new target
    also θ_xattn and θ_dec. Modules that were trained apart then meet at one interface that none of them changes, as
    monolingual adapters do (Philip, Bérard, Gallé and Besacier, *Monolingual Adapters for Zero-Shot Neural Machine
    Translation*, EMNLP 2020).
    ``half-lora`` trains the new side, and low-rank updates of all matrices that ``half`` trains; ``lora`` the new side,
    and low-rank updates of all matrices of θ_enc, θ_xattn and θ_dec. ``adapter`` trains the new side, and a bottleneck
    adapter after each layer of encoder and decoder.
    With ``side`` both, the two new sides train with θ_xattn; with none (a bridge), only θ_xattn or, for ``lora``, a
    low-rank update of its matrices.
    """
    parsed = parse(scope)
    if added := added_shapes(architecture, scope, side):
        return (*(name for end in ends_of(side) for name in group_names(architecture, end)), *added)

    def is_chosen(name: str) -> bool:
        if not name.startswith("cross_attention."):
            return True
        _, layer, part, _ = name.split(".")
        return (not parsed.layers or int(layer) + 1 in parsed.layers) and (not parsed.parts or part in parsed.parts)

    names = (name for group in trained_groups(scope, side) for name in group_names(architecture, group))
    return tuple(filter(is_chosen, names))


def added_shapes(architecture: Architecture, scope: Scope, side: NewSide) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the tensors that a scope adds to the model, in a fixed order."""
    parsed, width = parse(scope), architecture.width
    shapes: dict[str, tuple[int, ...]] = {}
    for group in trained_groups(scope, side):
        for name in group_names(architecture, group) if parsed.rank and group not in ends_of(side) else ():
            if shape := matrix_shape(architecture, name):
                layer = name.removesuffix(".weight")
                shapes |= {f"{layer}.lora_a": (parsed.rank, shape[1]), f"{layer}.lora_b": (shape[0], parsed.rank)}
        layers = {"encoder": architecture.encoder_layers, "decoder": architecture.decoder_layers}.get(group, 0)
        for i in range(layers if parsed.size else 0):
            adapter = f"{group}.{i}{ADAPTER}"
            shapes |= {f"{adapter}norm.weight": (width,), f"{adapter}norm.bias": (width,)}
            shapes |= {f"{adapter}down.weight": (parsed.size, width), f"{adapter}down.bias": (parsed.size,)}
            shapes |= {f"{adapter}up.weight": (width, parsed.size), f"{adapter}up.bias": (width,)}
    return shapes
