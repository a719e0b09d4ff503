"""Add twelve languages one after another to one parent, and measure what happens.

    python -m experiments.many --folder FOLDER text parent
    python -m experiments.many --folder FOLDER routed bridges matrix
    python -m experiments.many --folder FOLDER shared both-new xattn     # in another process, at the same time
    python -m experiments.many --folder FOLDER significance
    python -m experiments.many.tables

The text comes from the package index: see ``experiments/README.md``. Each result is appended to ``results.jsonl`` as it
is measured. What was measured is skipped, and an interrupted training continues. Trainings run in this process, on one
thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from experiments.many.bridges import both_new, bridges, significance
from experiments.many.chains import copy_parent, routed, shared, train_parent, xattn
from experiments.many.matrix import matrix
from experiments.many.run import Run
from experiments.many.settings import STARTS
from experiments.many.text import write_text

PARTS: dict[str, tuple[str, Callable[[Run], None]]] = {
    "parent": ("parent", train_parent),
    "routed": ("routed", routed),
    "matrix": ("routed", matrix),
    "bridges": ("routed", bridges),
    "shared": ("shared", shared),
    "xattn": ("xattn", xattn),
    "both-new": ("both-new", both_new),
}
"""The home of each part, and what it does."""
STARTED = ("routed", "shared", "xattn")
"""The homes of which there is one for each start."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["text", *PARTS, "significance"])
    parser.add_argument("--folder", type=Path, required=True, help="folder of the text and the homes")
    parser.add_argument("--start", choices=STARTS, default="es", help="what new embeddings start from")
    options = parser.parse_args()
    folder = options.folder.absolute()
    torch.set_num_threads(1)
    for part in options.parts:
        if part == "text":
            write_text(folder / "text", folder / "cache")
        elif part == "significance":
            first = Run(folder, f"routed-{options.start}", options.start)
            with first.driver, (second := Run(folder, "both-new")).driver:
                significance(first, second)
        else:
            home, measure = PARTS[part]
            if home in STARTED:
                home = f"{home}-{options.start}"
            if home != "parent":
                copy_parent(folder, home)
            with (run := Run(folder, home, options.start)).driver:
                measure(run)


if __name__ == "__main__":
    main()
