"""What a registry has of one parent in a few numbers: the cards at the top of the page and of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from continual_mt.artifacts.recipe import RecipeKind
from dashboards.tables.artifacts import KINDS, percent, size
from dashboards.views.views import storage
from dashboards.views.web import TRAINED
from registry import ModuleRecord, PairEntry, ParentRecord


@dataclass(frozen=True)
class Card:
    """One number with its name and what it consists of; ``kinds`` are the kinds of recipe among the pairs counted."""

    name: str
    value: str
    detail: str = ""
    kinds: tuple[tuple[RecipeKind, int], ...] = ()


def short_location(name: str) -> str:
    """Return the home's folder and file of a registry in a file, ``demo-home/registry.db``; a URL stays as it is."""
    return name if "://" in name else "/".join(Path(name).parts[-2:])


def overview(parent: ParentRecord, entries: Sequence[PairEntry], modules: Sequence[ModuleRecord]) -> tuple[Card, ...]:
    """Return the cards of a parent: languages, pairs by kind, modules, and bytes stored and saved.

    ``entries`` are the pairs as `Registry.pairs` lists them; ``modules`` of other parents are ignored.
    """
    own = [module for module in modules if module.parent == parent.name]
    counted = Counter(entry.kind for entry in entries)
    counted["original"] = parent.languages.count  # a parent of many languages is listed with few of its pairs
    scored = Counter(entry.kind for entry in entries if entry.score is not None)
    trained = tuple((kind, counted[kind]) for kind in KINDS if kind in TRAINED and counted[kind])
    cards = [
        _languages(parent, entries),
        Card("trained pairs", f"{sum(count for _, count in trained):,}", kinds=trained),
        Card("zero-shot pairs", f"{counted['zero-shot']:,}", f"{scored['zero-shot']:,} with a score"),
    ]
    if counted["pivot"]:
        cards.append(Card("pivot pairs", f"{counted['pivot']:,}", "through 2 models each"))
    cards.append(Card("modules", f"{len(own):,}", f"of {len({module.pair for module in own}):,} pairs"))
    return *cards, *_bytes(parent, own)


def _languages(parent: ParentRecord, entries: Sequence[PairEntry]) -> Card:
    sources = {*parent.languages.tags("source"), *(entry.pair.source for entry in entries)}
    targets = {*parent.languages.tags("target"), *(entry.pair.target for entry in entries)}
    return Card("languages", f"{len(sources | targets):,}", f"{len(sources):,} as source, {len(targets):,} as target")


def _bytes(parent: ParentRecord, modules: Sequence[ModuleRecord]) -> tuple[Card, Card]:
    kept = storage(parent, modules)
    stored = kept.parent_bytes + kept.modules_bytes
    saved = kept.copies_bytes - stored
    share = percent(saved / kept.copies_bytes) if kept.copies_bytes else percent(0)
    return (
        Card("stored", size(stored), f"{size(kept.modules_bytes)} of it in modules"),
        Card("saved", size(max(0, saved)), f"{share} of {size(kept.copies_bytes)} as full copies"),
    )
