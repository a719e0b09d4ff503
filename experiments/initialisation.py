"""How new languages should start, and which parameters should train: random, shared or lexical; ``xattn`` or ``half``.

    python -m experiments.initialisation --data FOLDER --home HOME low thirds

``FOLDER`` has the folders ``multi30k`` and ``tatoeba``: see ``experiments/README.md``. Each result is appended to
``results.jsonl`` as it is measured; measured settings are not trained again. Training runs in this process, on one
thread; run several experiments in several processes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.evaluation.metrics import score
from continual_mt.home import Home
from experiments.texts import cut_multi30k, cut_tatoeba, read
from ray_jobs.driver import Driver
from ray_jobs.execution.job import Outcome
from registry import ModuleRecord

RESULTS = Path(__file__).with_name("results.jsonl")
RESOURCES = {"cpus": 1}
# New embeddings that start as noise have far to go; for what starts from the parent's the defaults are used.
RATES_FROM_NOISE = {"learning_rate": 5e-4, "learning_rates": {"source": 3e-3, "target": 3e-3}}
PARENTS = {"full": 2000, "third": 1200, "low": 2000, "tatoeba": 2000}
"""Updates of each parent, of 2,048 tokens."""


class Experiment:
    """Trains and scores additions in one home, and appends what is measured to the results."""

    def __init__(self, data: Path, home: Path) -> None:
        self.data, self.texts = data, home / "texts"
        self.driver = Driver(Home.resolve(home), in_process=True)
        self._known = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []

    def corpus(self, place: str, pair: str, part: str) -> dict[str, str]:
        """The keys of a corpus: ``part`` is a folder with training text, ``dev`` or ``test``."""
        source, target = pair.split("-")
        folder = self.texts / place
        if place == "tatoeba" and part not in ("dev", "test"):
            return {"tsv": str(folder / f"{part}.{pair}.tsv")}
        name = part if part in ("dev", "test") else f"{part}/train"
        return {"source": str(folder / f"{name}.{source}"), "target": str(folder / f"{name}.{target}")}

    def parent(self, name: str) -> None:
        """Train a parent fr-en, unless it is there."""
        place = "tatoeba" if name == "tatoeba" else "multi30k"
        if not (self.texts / place).exists():
            cut = cut_tatoeba if place == "tatoeba" else cut_multi30k
            cut(self.data / place, self.texts / place)
        train = {"full": "full", "tatoeba": "train"}.get(name, f"{name}-parent")
        values = {
            "name": name,
            "pair": "fr-en",
            "train": self.corpus(place, "fr-en", train),
            "dev": self.corpus(place, "fr-en", "dev"),
            "tests": [{"pair": "fr-en", **self.corpus(place, "fr-en", "test")}],
            "training": {"updates": PARENTS[name], "accumulate": 1},
            "resources": RESOURCES,
        }
        self.driver.train_parent(validate(ParentSpec, values, origin=name, base=self.texts))

    def add(self, parent: str, pair: str, part: str, tested: Sequence[str], **keys: Any) -> Outcome:
        """Add a language to a parent, with the rates of its initialisation."""
        place = "tatoeba" if parent == "tatoeba" else "multi30k"
        training = keys.pop("training")
        if keys.get("initialisation", "random") == "random":
            training = {**RATES_FROM_NOISE, **training}
        values = {
            "parent": parent,
            "pair": pair,
            "train": self.corpus(place, pair, part),
            "dev": self.corpus(place, pair, "dev"),
            "tests": [{"pair": one, **self.corpus(place, one, "test")} for one in tested],
            "training": {"accumulate": 1, **training},
            "resources": RESOURCES,
            **keys,
        }
        spec = validate(AdditionSpec, values, origin=pair, base=self.texts)
        return self.driver.run(self.driver.resolve(spec))

    def is_known(self, **labels: Any) -> bool:
        return any(all(known.get(key) == value for key, value in labels.items()) for known in self._known)

    def record(self, module: ModuleRecord, scores: dict[str, float], **labels: Any) -> None:
        """Append one result."""
        environment = module.lineage.environment or {}
        rounded = {name: round(value, 2) for name, value in scores.items()}
        made = {"bytes": module.bytes, "module": module.full_name, "computed_in": environment.get("precision")}
        self.append({**labels, **rounded, **made})

    def append(self, row: dict[str, Any]) -> None:
        self._known.append(row)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def translated(self, pair: str, parent: str, modules: Sequence[str]) -> dict[str, float]:
        """Translate the captions of a pair by greedy search, with these modules, and score them."""
        source, target = pair.split("-")
        model = self.driver.registry.assemble(source, target, modules=modules, parent=parent)
        sources, references = (read(self.texts / "multi30k" / f"test.{language}") for language in (source, target))
        hypotheses = model.translate(sources, beam=1)
        return {found.metric: round(found.value, 2) for found in score(hypotheses, references, target)}

    def retention(self, module: ModuleRecord) -> dict[str, float]:
        """BLEU of the original pair through a module."""
        recipes = self.driver.registry.recipe_catalog.recipes(module.parent, modules=[module.full_name])
        for recipe in recipes:
            if recipe.kind == "retention" and recipe.cross_attention == module.key:
                found = self.driver.registry.scores(recipe=recipe.digest, metric="bleu")
                return {"retention_bleu": found[-1].value} if found else {}
        return {}

    def scores(self, pair: str, modules: Sequence[str]) -> dict[str, float]:
        """BLEU and chrF of a trained pair with these modules, as they were measured."""
        recipe = self.driver.registry.recipe_catalog.recipe(
            *pair.split("-"), parent=modules[0].partition("/")[0], modules=modules
        )
        values = {one.metric: one.value for one in self.driver.registry.scores(recipe=recipe.digest)}
        return {metric: values[metric] for metric in ("bleu", "chrf") if metric in values}


def low(run: Experiment) -> Iterator[None]:
    """``de-en`` with few captions, none of them the parent's: untrained, trained and from scratch."""
    run.parent("low")
    for count in (1000, 3000, 10000):
        trained = {"batch_tokens": 1024, "updates": 300, "warmup": 40, "validate_every": 75}
        whole: dict[str, Any] = {"batch_tokens": 1024, "updates": 600, "warmup": 120, "validate_every": 100}
        whole |= {"learning_rate": 1e-3, "learning_rates": {}}
        settings: list[dict[str, Any]] = [
            {"scope": "embeddings", "initialisation": "lexical", "training": {"updates": 0}},
            {"scope": "half", "initialisation": "lexical", "training": trained},
            {"scope": "scratch", "training": whole},
            {"scope": "xattn", "initialisation": "random", "training": trained},
        ]
        for keys in settings:
            yield from one(run, "low", "de-en", f"low-{count}", keys)


def tatoeba(run: Experiment) -> Iterator[None]:
    """The same with everyday sentences, and with a tokenizer from text without translation."""
    run.parent("tatoeba")
    for count in (1000, 3000, 10000):
        trained = {"batch_tokens": 1024, "updates": 300, "warmup": 40, "validate_every": 75}
        mono = {"monolingual": str(run.texts / "tatoeba" / "mono.de"), "vocabulary": 6000}
        for keys in (
            {"scope": "embeddings", "initialisation": "lexical", "training": {"updates": 0}},
            {"scope": "embeddings", "initialisation": "lexical", "training": {"updates": 0}, **mono},
            {"scope": "half", "initialisation": "lexical", "training": trained},
            {"scope": "half", "initialisation": "lexical", "training": trained, **mono},
            {"scope": "xattn", "initialisation": "random", "training": trained},
        ):
            yield from one(run, "tatoeba", "de-en", f"train-{count}", dict(keys))


def one(run: Experiment, parent: str, pair: str, part: str, keys: dict[str, Any], seed: int = 1) -> Iterator[None]:
    """Measure one addition on its own pair."""
    labels = {"parent": parent, "pair": pair, "text": part, "scope": keys["scope"], "seed": seed}
    labels |= {"start": keys.get("initialisation", "random"), "updates": keys["training"]["updates"]}
    labels |= {"tokenizer": "monolingual" if "monolingual" in keys else "own"}
    if not run.is_known(**labels):
        module = run.add(parent, pair, part, [pair], seed=seed, **keys).record
        assert isinstance(module, ModuleRecord)
        run.record(module, run.scores(pair, [module.full_name]), **labels)
    yield


COMPARED = (("xattn", "random"), ("half", "lexical"))
REST = (("xattn", "lexical"), ("half", "random"), ("xattn", "shared"), ("half", "shared"))
SEEDS = (1, 2, 3)


def thirds(run: Experiment) -> Iterator[None]:
    """``de-en`` and ``fr-cs`` on text that they share neither with each other nor with the parent, and ``de-cs``."""
    run.parent("third")
    yield from crossed(run, "third", "third-source", "third-target")


def full(run: Experiment) -> Iterator[None]:
    """The same on the whole, four-way parallel text."""
    run.parent("full")
    yield from crossed(run, "full", "full", "full")


def crossed(run: Experiment, parent: str, source_part: str, target_part: str) -> Iterator[None]:
    training = {"updates": 300, "batch_tokens": 2048, "warmup": 60, "validate_every": 100}
    for scope, start, seed in [(*one, seed) for some in (COMPARED, REST) for seed in SEEDS for one in some]:
        labels = {"parent": parent, "pair": "de-cs", "scope": scope, "start": start, "seed": seed, "beam": 1}
        if run.is_known(**labels):
            continue
        modules = []
        for pair, part in (("de-en", source_part), ("fr-cs", target_part)):
            keys = {"seed": seed, "scope": scope, "initialisation": start, "beam": 1, "training": dict(training)}
            record = run.add(parent, pair, part, [pair], **keys).record
            assert isinstance(record, ModuleRecord)
            modules.append(record)
            scores = {**run.scores(pair, [record.full_name]), **run.retention(record)}
            run.record(record, scores, **{**labels, "pair": pair})
        names = [module.full_name for module in modules]
        run.record(modules[1], run.translated("de-cs", parent, names), **labels)
        yield


EXPERIMENTS = {"low": low, "tatoeba": tatoeba, "thirds": thirds, "full": full}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders multi30k and tatoeba")
    parser.add_argument("--home", type=Path, required=True, help="home of the parents and modules that are trained")
    options = parser.parse_args()
    run = Experiment(options.data.absolute(), options.home.absolute())
    with run.driver:
        for name in options.experiments:
            for _ in EXPERIMENTS[name](run):
                pass


if __name__ == "__main__":
    main()
