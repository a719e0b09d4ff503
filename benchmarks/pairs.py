"""Many pairs of one parent in memory, compared with as many full models; and requests for mixed batches."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.inference.assembly import assemble
from continual_mt.inference.mixed_batches import Request
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.scopes import trainable_names

# Placeholders: each language gets a separate side and cross-attention with the parent's values.
LANGUAGES = (
    *("af", "am", "ar", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "es", "et", "eu", "fa"),
    *("fi", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko"),
)


def many_pairs(parent: Parent, count: int) -> list[tuple[Recipe, Mapping[str, Module]]]:
    """Make recipes of ``count`` new source languages, each with its module."""
    found: list[tuple[Recipe, Mapping[str, Module]]] = []
    taken = {parent.pair.source, parent.pair.target}
    for language in [language for language in LANGUAGES if language not in taken][:count]:
        pair = Pair(language, parent.pair.target)
        names = trainable_names(parent.architecture, "xattn", "source")
        tensors = {name: parent.tensors[name].clone() for name in names}
        module = Module.of(parent, pair, "xattn", tensors, parent.source_tokenizer)
        key = ModuleKey(str(pair), module.digest)
        found.append((Recipe("supervised", pair, "parent", parent.fingerprint, key, key), {str(pair): module}))
    return found


def mixed_requests(models: list[PairModel], sentences: list[str]) -> list[Request]:
    """Make one request per sentence; the models alternate."""
    return [Request(model, sentence) for model, sentence in zip(cycle(models), sentences, strict=False)]


def resident_memory(parent: Parent, count: int) -> dict[str, float]:
    """Measure the memory, in megabytes, that ``count`` pairs add to a process: as recipes and as full models."""
    with tempfile.TemporaryDirectory() as name:
        for piece, content in parent.pieces().items():
            (Path(name) / piece).write_bytes(content)
        found = {}
        for kind in ("ours", "full"):
            command = [sys.executable, "-m", "benchmarks.pairs", name, kind, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures = json.loads(done.stdout)
            found[f"MB, {count} pairs, {kind}"] = figures["added"]
            if kind == "ours" and count > 1:
                found[f"MB a pair beyond the first / its module's, {count} pairs"] = figures["ratio"]
        return found


def _resident(parent: Parent, kind: str, count: int) -> dict[str, float]:
    before = _memory()
    recipes = many_pairs(parent, count)
    first = None
    models = []
    for recipe, modules in recipes:
        model = assemble(recipe, parent, modules)
        if kind == "full":
            model.transformer.load_state_dict(
                {name: tensor.clone() for name, tensor in model.transformer.state_dict().items()}, assign=True
            )
        models.append(model)
        first = first or _memory()
    assert first is not None
    module = next(iter(recipes[0][1].values()))
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.tensors.values()) / 1e6
    added = _memory() - before
    return {"added": added, "ratio": added / count / size}


def _memory() -> float:
    """Return the private memory of this process, in megabytes."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1e3
    raise SystemExit("/proc/self/smaps_rollup: has no Private_Dirty line; expected Linux")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parent", type=Path)
    parser.add_argument("kind", choices=["ours", "full"])
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parent = Parent.from_pieces({path.name: path.read_bytes() for path in options.parent.iterdir()})
    print(json.dumps(_resident(parent, options.kind, options.count)))


if __name__ == "__main__":
    main()
