"""From files to the first translated sentence: how long each back end and each rival needs, libraries imported."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.contestants.generate import Generator
from benchmarks.contestants.hugging_face import marian
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.inference.assembly import assemble
from continual_mt.inference.ctranslate2_model import converted
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search

ROUNDS = 5


def first_translations(
    model: PairModel, recipe: Recipe, parent: Parent, folder: Path, source: list[int]
) -> dict[str, float]:
    """Milliseconds, the median of some rounds. The converted model was converted before."""
    from transformers import MarianMTModel

    pieces, rival = folder / "pieces", folder / "hugging-face"
    pieces.mkdir()
    for name, content in parent.pieces().items():
        (pieces / name).write_bytes(content)
    marian(model.source.tokenizer, model.target.tokenizer, model.transformer.state_dict(), "sdpa").save_pretrained(
        rival
    )

    def ours() -> PairModel:
        return assemble(recipe, Parent.from_pieces({path.name: path.read_bytes() for path in pieces.iterdir()}), {})

    def torch_backend() -> None:
        ours().search([source], Search(5))

    def fast_backend() -> None:
        converted(model, folder / "cache").search([source], Search(5))

    def generate() -> None:
        Generator(model, MarianMTModel.from_pretrained(rival))([source], 5, 1)

    runs: dict[str, Callable[[], None]] = {
        "ours, torch": torch_backend,
        "ours, ctranslate2 int8": fast_backend,
        "hugging face generate": generate,
    }
    found = {}
    for name, run in runs.items():
        seconds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        found[name] = statistics.median(seconds) * 1e3
    return found
