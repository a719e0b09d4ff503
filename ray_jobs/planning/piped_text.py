"""Texts of a spec that can be read only once: found, and replaced by the files that keep them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from continual_mt.data.corpora.read_once import reads_once

Spec = TypeVar("Spec", bound=BaseModel)


def piped_texts(spec: BaseModel) -> list[Path]:
    """Return the paths of a spec that can be read only once, each once."""
    found: dict[Path, None] = {}

    def note(path: Path) -> Path:
        found[path] = None
        return path

    with_kept_texts(spec, note)
    return list(found)


def with_kept_texts(spec: Spec, keep: Callable[[Path], Path]) -> Spec:
    """Return a spec whose paths that can be read only once are replaced by what ``keep`` returns for each."""
    changes = {}
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        kept = _kept(value, keep)
        if kept is not value:
            changes[name] = kept
    return spec.model_copy(update=changes) if changes else spec


def _kept(value: object, keep: Callable[[Path], Path]) -> object:
    if isinstance(value, Path):
        return keep(value) if reads_once(value) else value
    if isinstance(value, BaseModel):
        return with_kept_texts(value, keep)
    if isinstance(value, tuple):
        items = tuple(_kept(item, keep) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
