"""Names of the tensors of several languages' sides, which have one body, and the model of a pair among them.

A tensor of a side has its language after its group: ``source.embedding`` of Spanish is ``source.es.embedding``. A tag
has letters, digits and ``_``, so that ``.`` divides without doubt. These names are part of the stored format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Architecture, group_names, group_of

Value = TypeVar("Value")


def part_of(name: str) -> str:
    """Return what a tensor belongs to: a language's side, such as ``source.es``, or a group of the body."""
    group = group_of(name)
    return ".".join(name.split(".")[:2]) if group in ("source", "target") else group


def with_language(name: str, language: str) -> str:
    """Return the name for a language's side: ``source.es.embedding`` for ``source.embedding`` of Spanish."""
    end, _, rest = name.partition(".")
    return f"{end}.{language}.{rest}"


def without_language(name: str) -> str:
    """Return the name in the model of a pair: ``source.embedding`` for ``source.es.embedding``."""
    part = part_of(name)
    return f"{group_of(name)}{name.removeprefix(part)}"


def stored_names(architecture: Architecture, sources: Iterable[str], targets: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all tensors of a body and the sides of these languages, in a fixed order."""
    languages = {"source": sorted(sources), "target": sorted(targets)}
    names: list[str] = []
    for group in GROUPS:
        own = group_names(architecture, group)
        tags = languages.get(group)
        names += own if tags is None else (with_language(name, tag) for tag in tags for name in own)
    return tuple(names)


def of_side(tensors: Mapping[str, Value], end: SideName, language: str) -> dict[str, Value]:
    """Return the side of a language, under the names of a pair's model."""
    part = f"{end}.{language}"
    return {without_language(name): tensor for name, tensor in tensors.items() if part_of(name) == part}


def of_pair(tensors: Mapping[str, Value], pair: Pair) -> dict[str, Value]:
    """Return the body and the sides of a pair, under the names of its model. A side that is missing is left out."""
    body = {name: tensor for name, tensor in tensors.items() if group_of(name) not in ("source", "target")}
    return body | of_side(tensors, "source", pair.source) | of_side(tensors, "target", pair.target)
