"""Real low-resource languages, added to parents of everyday sentences, beside models from scratch and of both texts.

    python -m experiments.low_resource --data FOLDER --folder HOMES tatoeba-fr tatoeba-es
    python -m experiments.low_resource --data FOLDER --folder HOMES ha-en fr-wo
    python -m experiments.low_resource --data FOLDER --folder HOMES --system joint   # all pairs; in another process
    python -m experiments.low_resource.tables

``--data`` has the folders ``tatoeba`` and ``lowresource``: see ``experiments/README.md``. Each result is appended to
``results.jsonl`` as it is measured. What was measured is skipped, and an interrupted training continues. Trainings run
in this process, on one thread. ``half`` is compared with the others in the process that tests the last of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from experiments.low_resource.run import Run
from experiments.low_resource.settings import PARENT_OF, PARENTS, SYSTEMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARENTS, *PARENT_OF], help="parents and pairs; default: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders tatoeba and lowresource")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the home of parents and modules")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="may be repeated; default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with (run := Run(options.data.absolute(), options.folder.absolute())).driver:
        for part in options.parts or PARENT_OF:
            if part in PARENTS:
                run.parent(part)
            else:
                run.pair(part, options.system or SYSTEMS)


if __name__ == "__main__":
    main()
