"""Czech added to an imported parent of three languages: the pairs with training text, and those without.

    python -m experiments.imported --data FOLDER --home HOME m2m100-tiny

``m2m100-tiny`` is the folder that ``experiments.tiny_m2m100`` writes. A new source Czech is trained with English, a new
target Czech from English; both then work with German and French, too. Results are appended to ``results.jsonl``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from continual_mt.interchange.huggingface.import_parent import Request, import_parent
from experiments.initialisation import RATES_FROM_NOISE, Experiment
from experiments.texts import cut_multi30k
from registry import Lineage, ModuleRecord, Registry

PARENT, LANGUAGES = "m2m100-tiny", ("de", "en", "fr")
BROUGHT = {"cs-en": ("cs-en", "cs-de", "cs-fr"), "en-cs": ("en-cs", "de-cs", "fr-cs")}
"""The pairs that each addition brings: the one that is trained, then those without training text."""
SETTINGS = (("half", "lexical"), ("xattn", "lexical"), ("xattn", "random"))
TRAINING = {"updates": 300, "batch_tokens": 2048, "warmup": 60, "validate_every": 100}


def register_parent(run: Experiment, folder: Path) -> None:
    """Import the model, unless it is there."""
    if PARENT in {record.name for record in run.driver.registry.parents()}:
        return
    request = Request(str(folder), PARENT, languages=LANGUAGES)
    with import_parent(request, folder / "cache") as imported:
        lineage = Lineage(corpora=(), spec=imported.spec.recorded(), code_version="")
        run.driver.registry.register_parent(PARENT, imported.parent, lineage=lineage)


def originals(run: Experiment) -> None:
    """Score the parent's own pairs."""
    for pair in (f"{source}-{target}" for source in LANGUAGES for target in LANGUAGES if source != target):
        labels = {"parent": PARENT, "pair": pair, "kind": "original", "beam": 1}
        if not run.is_known(**labels):
            run.append({**labels, **run.translated(pair, PARENT, [])})


def added(run: Experiment) -> Iterator[None]:
    """Train both additions in each setting, and score what each brings; then German and French through it."""
    for scope, start in SETTINGS:
        for pair in BROUGHT:
            labels: dict[str, Any] = {"parent": PARENT, "scope": scope, "start": start, "seed": 1, "beam": 1}
            if run.is_known(**labels, through=pair, pair=BROUGHT[pair][-1]):
                continue
            training = {**(RATES_FROM_NOISE if start == "random" else {}), **TRAINING}
            keys = {"scope": scope, "initialisation": start, "seed": 1, "beam": 1, "training": training}
            record = run.add(PARENT, pair, "full", [], **keys).record
            assert isinstance(record, ModuleRecord)
            for one in BROUGHT[pair]:
                kind = "supervised" if one == pair else "zero-shot"
                found = run.translated(one, PARENT, [record.full_name])
                run.record(record, found, **labels, through=pair, pair=one, kind=kind)
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the folder multi30k")
    parser.add_argument("--home", type=Path, required=True, help="home of the parent and the modules")
    parser.add_argument("folder", type=Path, help="what experiments.tiny_m2m100 wrote")
    options = parser.parse_args()
    run = Experiment(options.data.absolute(), options.home.absolute())
    Registry.open(options.home.absolute(), create=True).close()
    if not (run.texts / "multi30k").exists():
        cut_multi30k(run.data / "multi30k", run.texts / "multi30k")
    with run.driver:
        register_parent(run, options.folder.absolute())
        originals(run)
        for _ in added(run):
            pass


if __name__ == "__main__":
    main()
