"""The time from weights on disk to the first translated sentence, for each back end and contestant."""

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
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search

ROUNDS = 5


def first_translations(
    model: PairModel, recipe: Recipe, parent: Parent, folder: Path, source: list[int]
) -> dict[str, float]:
    """Return the median time in milliseconds by contestant; imports and conversion are not included."""
    from transformers import MarianMTModel

    parent_folder, hugging_face_folder = folder / "pieces", folder / "hugging-face"
    parent_folder.mkdir()
    for name, content in parent.pieces().items():
        (parent_folder / name).write_bytes(content)
    marian(model.source.tokenizer, model.target.tokenizer, model.transformer.state_dict(), "sdpa").save_pretrained(
        hugging_face_folder
    )

    def assemble_model() -> PairModel:
        return assemble(
            recipe, Parent.from_pieces({path.name: path.read_bytes() for path in parent_folder.iterdir()}), {}
        )

    def with_torch() -> None:
        assemble_model().search([source], Search(5))

    def with_ctranslate2() -> None:
        load_or_convert(model, folder / "cache").search([source], Search(5))

    def with_generate() -> None:
        Generator(model, MarianMTModel.from_pretrained(hugging_face_folder))([source], 5, 1)

    runs: dict[str, Callable[[], None]] = {
        "ours, torch": with_torch,
        "ours, ctranslate2 int8": with_ctranslate2,
        "hugging face generate": with_generate,
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
