"""A registry of 1,000 languages beside one of 20: registering, opening, listing, choosing and assembling pairs, memory.

Half of the languages are new sources, half new targets; with ``--both-ways`` each is both. Modules have random weights
in a small shape, and are registered by the registry's own calls. Each question is asked many times in turn of both
registries, in one process, so that the ratios do not depend on the machine.

    python -m benchmarks.many_languages --languages 1000
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import torch

from benchmarks.pairs import mixed_requests
from benchmarks.tools.alternating import interleaved, speedup, timed
from benchmarks.tools.measure import own_memory_mb
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.synthetic_registry import languages
from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.inference.mixed_batches import translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, canonical, trainable_names
from registry import Lineage, Registry

FEW = 20
PAIR = Pair("fr", "en")
SHAPE = Architecture(width=64, heads=2, encoder_layers=2, decoder_layers=2, feed_forward=128)
TYPES = 100
MIXED = 32
"""Pairs of a mixed batch."""
SENTENCES = 128
WORDS = ("red", "green", "blue", "grey", "white", "house", "river", "tree", "sees", "likes", "finds", "big", "old")
LINEAGE = Lineage(corpora=(), spec={}, code_version="")


def sentence(number: int) -> str:
    return " ".join(WORDS[number * step % len(WORDS)] for step in (1, 3, 4, 6, 11))


@dataclass
class Filled:
    """A registry of so many languages, and the seconds that each module took to register."""

    folder: Path
    scope: Scope
    sources: list[str]
    targets: list[str]
    registered: list[float] = field(default_factory=list)
    _turn: count[int] = field(default_factory=count)

    @classmethod
    def of(cls, folder: Path, languages_in_all: int, scope: Scope, *, both_ways: bool) -> Filled:
        tags = languages(languages_in_all)
        filled = cls(folder, scope, tags, tags) if both_ways else cls(folder, scope, tags[0::2], tags[1::2])
        filled._register()
        return filled

    def _register(self) -> None:
        tokenizer = train_tokenizer(lambda: map(sentence, range(200)), TYPES)
        sizes = {"source": tokenizer.size, "target": tokenizer.size}
        tensors = initial_tensors(SHAPE, parameter_names(SHAPE), sizes, 0)
        parent = Parent.of_pair(PAIR, SHAPE, tensors, tokenizer, tokenizer)
        pairs = [Pair(tag, PAIR.target) for tag in self.sources] + [Pair(PAIR.source, tag) for tag in self.targets]
        with Registry.open(self.folder, create=True) as registry:
            registry.register_parent("base", parent, lineage=LINEAGE)
            for seed, pair in enumerate(pairs, start=1):
                module = random_module(parent, pair, self.scope, tokenizer, seed)
                seconds, _ = timed(partial(registry.register_module, "base", module, lineage=LINEAGE))
                self.registered.append(seconds)

    def next_pair(self) -> Pair:
        """Another zero-shot pair at each call, of modules that no earlier one was of, while there are any."""
        turn = next(self._turn)
        source = self.sources[turn % len(self.sources)]
        target = self.targets[-1 - turn % len(self.targets)]
        return Pair(source, target) if source != target else self.next_pair()


def random_module(parent: Parent, pair: Pair, scope: Scope, tokenizer: Tokenizer, seed: int) -> Module:
    names = trainable_names(SHAPE, scope, parent.languages.new_side(pair))
    sizes = {"source": tokenizer.size, "target": tokenizer.size}
    return Module.of(parent, pair, scope, initial_tensors(SHAPE, names, sizes, seed), tokenizer)


Question = Callable[[Registry, Filled], object]


def assemble_next(registry: Registry, filled: Filled) -> object:
    """Assemble a pair whose modules were not loaded before, and note its recipe in the database."""
    pair = filled.next_pair()
    return registry.assemble(pair.source, pair.target)


def assemble_same(registry: Registry, filled: Filled) -> object:
    return registry.assemble(filled.sources[0], filled.targets[-1])


def open_and_assemble(registry: Registry, filled: Filled) -> None:
    """In a new connection: what the first sentence of a new process waits for, beside imports."""
    with Registry.open(filled.folder) as fresh:
        assemble_same(fresh, filled)


def choose(registry: Registry, filled: Filled) -> object:
    pair = filled.next_pair()
    return registry.recipe_catalog.recipe(pair.source, pair.target)


QUESTIONS: dict[str, tuple[Question, int]] = {
    "open": (lambda registry, filled: Registry.open(filled.folder).close(), 11),
    "assemble a pair, cold": (assemble_next, FEW // 2),
    "assemble a pair, warm": (assemble_same, 31),
    "open and assemble a pair": (open_and_assemble, 11),
    "choose the recipe of a pair": (choose, 31),
    "pairs of one language": (lambda registry, filled: registry.pairs(language=filled.sources[0]), 5),
    "all pairs": (lambda registry, filled: registry.pairs(), 3),
    "all modules": (lambda registry, filled: registry.modules(), 5),
    "search one language": (
        lambda registry, filled: registry.annotations.search(f"language={filled.next_pair().source}"),
        11,
    ),
}
"""Each with how often it is asked."""


def ask(registries: dict[int, tuple[Registry, Filled]]) -> dict[str, dict[int, float]]:
    """Return the median milliseconds of each question, by the number of languages; they take turns."""
    found: dict[str, dict[int, float]] = {
        "register a module": {size: median_ms(filled.registered[-FEW:]) for size, (_, filled) in registries.items()}
    }
    for name, (question, times) in QUESTIONS.items():
        runs = {str(size): partial(question, *asked) for size, asked in registries.items()}
        found[name] = {int(size): median_ms(seconds) for size, seconds in interleaved(runs, times).items()}
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def median_ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e3


def mixed_speed(registry: Registry, filled: Filled) -> dict[str, float]:
    """Return the speeds of mixed batches of 32 pairs, over that of one pair."""
    sources, targets = filled.sources[:MIXED], filled.targets[-MIXED:]
    several = {
        "one pair": [(sources[0], targets[0])],
        f"{MIXED} sources into one target": [(source, targets[0]) for source in sources],
        f"one source into {MIXED} targets": [(sources[0], target) for target in targets],
        f"{MIXED} sources into {MIXED} targets": list(zip(sources, targets, strict=True)),
    }
    sentences = [sentence(number) for number in range(SENTENCES)]
    runs = {}
    for name, pairs in several.items():
        models = [registry.assemble(*pair) for pair in pairs]
        requests = mixed_requests([model for model in models if isinstance(model, PairModel)], sentences)
        runs[name] = partial(translate_mixed, requests, beam=1)
    seconds = interleaved(runs, 4)
    return {name: speedup(taken[1:], seconds["one pair"][1:]) for name, taken in seconds.items() if name != "one pair"}


def resident(folder: Path, step: str) -> float:
    """Return the megabytes that a step adds to a new process with an open registry; mapped files do not count."""
    command = [sys.executable, "-m", "benchmarks.many_languages", "--memory", str(folder), step]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def add_to_memory(folder: Path, step: str) -> float:
    with Registry.open(folder) as registry:
        pair = registry.module("base/" + str(registry.recipe_catalog.selected_modules()[0].pair)).pair
        registry.assemble(pair.source, pair.target)
        gc.collect()
        before = own_memory_mb() or 0.0
        if step == "all pairs":
            kept: list[object] = list(registry.pairs())
        else:
            modules = registry.recipe_catalog.selected_modules()
            kept = [registry.assemble(one.pair.source, one.pair.target) for one in modules]
        added = (own_memory_mb() or 0.0) - before
        assert kept
        return added


def measure(sizes: list[int], folder: Path, scope: Scope, *, both_ways: bool) -> dict[str, dict[int, float]]:
    with ExitStack() as stack:
        registries = {}
        for size in sizes:
            filled = Filled.of(folder / str(size), size, scope, both_ways=both_ways)
            registries[size] = (stack.enter_context(Registry.open(filled.folder)), filled)
        found = {f"ms, {name}": by_size for name, by_size in ask(registries).items()}
        (largest, (registry, filled)) = max(registries.items())
        for name, value in mixed_speed(registry, filled).items():
            found[f"speed of a mixed batch, {name} / of one pair"] = {largest: value}
    for name, step in (("to list all pairs", "all pairs"), ("of all trained pairs, assembled", "assembled")):
        found[f"MB {name}"] = {size: resident(folder / str(size), step) for size in sizes}
    for size in sizes:
        with Registry.open(folder / str(size)) as registry:
            stored = sum(module.bytes for module in registry.modules())
        found.setdefault("MB of all modules, stored", {})[size] = stored / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=1000)
    parser.add_argument("--scope", default="half", help="scope of all modules")
    parser.add_argument("--both-ways", action="store_true", help="each language is a source and a target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    parser.add_argument("--memory", nargs=2, metavar=("HOME", "STEP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(add_to_memory(Path(options.memory[0]), options.memory[1]))
        return
    sizes = [FEW, options.languages]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(sizes, Path(folder), canonical(options.scope), both_ways=options.both_ways)
    print(f"{machine()}\n")
    rows = []
    for name, by_size in found.items():
        cells = [f"{by_size[size]:,.2f}" if size in by_size else "" for size in sizes]
        ratio = f"{by_size[sizes[1]] / by_size[FEW]:.2f}" if by_size.get(FEW) else ""
        rows.append([name, *cells, ratio])
    print_table(["", *(f"{size:,} languages" for size in sizes), "ratio"], rows)
    if options.json:
        write_json(options.json, {"found": found})


if __name__ == "__main__":
    main()
