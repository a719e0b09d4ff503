"""A web of pairs, for the tests: modules that rest on modules, bridges, and so pairs with several recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.rests_on import RestsOn
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import Pair
from continual_mt.model.scopes import trainable_names
from registry import Lineage, ModuleRecord, Registry
from registry.records.lineage import inputs_resting_on
from tests.registry.conftest import ARCHITECTURE, MakeModule, random_tensors

WEB = {
    "fr-en": "original",
    "de-en": "supervised",
    "nl-en": "supervised",
    "fr-es": "supervised",
    "fr-pt": "supervised",
    "es-pt": "supervised",
    "de-es": "bridge",
    "nl-es": "bridge",
    "de-pt": "pivot",
    "nl-pt": "pivot",
    "es-en": "zero-shot",
}
"""What each pair runs with where no test set decides. Pivots of de-pt, nl-pt and fr-pt go through es."""


def add_web(registry: Registry, make_module: MakeModule, lineage: Lineage, tokenizers: Mapping[str, Tokenizer]) -> None:
    """Add to ``filled`` (fr-en, with de-en and fr-es): nl-en, fr-pt, es-pt on it, bridges de-es and nl-es, de-en:2."""
    parent = registry.load_parent()

    def brought(pair: str, language: str, seed: int) -> ModuleRecord:
        module = make_module(parent, pair.replace("nl", language), seed=seed)
        return registry.register_module("base", replace(module, pair=Pair.parse(pair)), lineage=lineage)

    de, es = registry.module("de-en:1"), registry.module("fr-es:1")
    nl, pt = brought("nl-en", "de", 11), brought("fr-pt", "pt", 12)
    rest(registry, "es-pt", (None, pt), lineage, tokenizers, seed=13)
    rest(registry, "de-es", (de, es), lineage, tokenizers, seed=14)
    rest(registry, "nl-es", (nl, es), lineage, tokenizers, seed=15)
    brought("de-en", "de", 16)


def rest(
    registry: Registry,
    pair: str,
    on: tuple[ModuleRecord | None, ModuleRecord],
    lineage: Lineage,
    tokenizers: Mapping[str, Tokenizer],
    seed: int,
) -> None:
    """Register a bridge between the sides of two modules, or the new source es before the target of the second."""
    source, target = on
    new = {} if source is not None else {"source": tokenizers["es"]}
    sizes = {"source": tokenizers["es"].size, "target": 0}
    tensors = random_tensors(trainable_names(ARCHITECTURE, "xattn", "source" if new else "none"), sizes, seed)
    keys = RestsOn(source, target, target).mapped(lambda record: record.key)
    module = Module.of(
        registry.load_parent(),
        Pair.parse(pair),
        "xattn",
        tensors,
        new,  # type: ignore[arg-type]
        rests_on=keys.mapped(lambda key: key.digest),
    )
    registry.register_module("base", module, lineage=replace(lineage, inputs=inputs_resting_on(keys)))
