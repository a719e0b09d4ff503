"""The paper's tables on Multi30k, with the learning rates of each scope searched on development text.

    python -m experiments.paper --data FOLDER --folder HOMES parents
    python -m experiments.paper --data FOLDER --folder HOMES search-source
    python -m experiments.paper --data FOLDER --folder HOMES search-target     # in another process, at the same time
    python -m experiments.paper --data FOLDER --folder HOMES full 3k thirds originals lexicon rivals
    python -m experiments.paper --data FOLDER --folder HOMES stored small
    python -m experiments.paper.tables --folder HOMES

``--data`` has the folders ``multi30k`` and, for the part ``lexicon``, ``lexicons``: see ``experiments/README.md``. Each
result is appended to ``results.jsonl`` as it is measured. What was measured is skipped, and an interrupted training
continues. Trainings run in this process, on one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from experiments.paper.final import final, originals
from experiments.paper.lexicon import lexicon
from experiments.paper.rivals import rivals
from experiments.paper.run import Run
from experiments.paper.search import search
from experiments.paper.settings import PARENTS, TEXTS
from experiments.paper.small import small, stored


def parents(run: Run) -> None:
    for name in PARENTS:
        run.parent(name)


PARTS: dict[str, Callable[[Run], None]] = {
    "parents": parents,
    "search-source": lambda run: search(run, "source"),
    "search-target": lambda run: search(run, "target"),
    "stored": stored,
    "small": small,
    **{table: partial(final, table=table) for table in TEXTS},
    "originals": originals,
    "lexicon": lexicon,
    "rivals": rivals,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders multi30k and lexicons")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the text that is cut, and of the home")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with (run := Run(options.data.absolute(), options.folder.absolute())).driver:
        for part in options.parts:
            PARTS[part](run)


if __name__ == "__main__":
    main()
