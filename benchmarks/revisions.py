"""The training speed of several revisions of this project, measured alternately, one update at a time.

The speed of a shared machine changes by a fifth within a minute. Alternating exposes all revisions to the same changes:
the result is the median, over all rounds, of the speed of a revision relative to the first one.

    python -m benchmarks.revisions --train train.fr train.en HEAD~3 HEAD
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import Workload
from benchmarks.training import absolute
from ray_jobs.cluster.ray_trainer import WORKER_ENVIRONMENT

# Runs with each revision's code: does one update per line of input and prints microseconds per token.
UPDATES = """
import sys, time
from pathlib import Path
import torch
from benchmarks.tools.workload import ARCHITECTURE, Workload, trained_names
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.trainer import Task, Trainer, computation_dtype, encoder_frozen
from continual_mt.model.transformer import Transformer

folder, scope, side = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
workload = Workload.load(folder)
torch.set_num_threads(workload.threads)
model = Transformer.pointing_at(ARCHITECTURE, workload.first_weights(1))
corpus, names, settings = workload.corpus(), trained_names(scope, side), workload.settings(100_000)
source, target, encoded = workload.tokenizer("source"), workload.tokenizer("target"), None
if encoder_frozen(names):
    casted = model.computing_in(computation_dtype(model.device, settings.precision))
    encoded = encode_sources(casted, corpus, source, folder / "cache")
trainer = Trainer(Task(model, names, corpus, source, target, settings, 1, encoded))
for line in sys.stdin:
    started = time.perf_counter()
    _, tokens = trainer.update()
    print((time.perf_counter() - started) / tokens * 1e6, flush=True)
"""


class Runner:
    """A process that does one update per call, with the code of one revision."""

    def __init__(self, tree: Path, arguments: list[str]) -> None:
        environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": str(tree)}
        command = [sys.executable, "-c", UPDATES, *arguments]
        self._process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def update(self) -> float:
        """Do one update; returns microseconds per target token."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def checked_out(revisions: list[str], folder: Path) -> Iterator[list[Path]]:
    """Check out each revision in a temporary working tree; yields the trees."""
    trees = [folder / str(number) for number in range(len(revisions))]
    try:
        for revision, tree in zip(revisions, trees, strict=True):
            subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), revision], check=True)
        yield trees
    finally:
        for tree in trees:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="+", metavar="REVISION", help="of this repository")
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--pair", default="fr-en")
    parser.add_argument("--scope", default="scratch")
    parser.add_argument("--side", default="source", choices=["source", "target"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--warm-up", type=int, default=100, help="untimed updates per revision")
    parser.add_argument("--updates", type=int, default=80)
    parser.add_argument("--quick", action="store_true", help="fewer updates")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    options = parser.parse_args()
    if options.quick:
        options.warm_up, options.updates = 20, 20
    texts = absolute(options.train)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "workload"
        folder.mkdir()
        Workload(str(folder), options.pair, texts, texts, 2048, 4000, options.threads).prepare()
        with checked_out(options.revisions, Path(name)) as trees:
            runners = [Runner(tree, [str(folder), options.scope, options.side]) for tree in trees]
            for runner in runners:
                for _ in range(options.warm_up):
                    runner.update()
            turns = [[runner.update() for runner in runners] for _ in range(options.updates)]
            for runner in runners:
                runner.end()
    figures = {
        revision: {
            "target_tokens_per_second": 1e6 / statistics.median(turn[place] for turn in turns),
            "ratio_to_first": statistics.median(turn[0] / turn[place] for turn in turns),
        }
        for place, revision in enumerate(options.revisions)
    }
    print(f"{machine()}, {options.threads} threads, {options.scope} {options.side}\n")
    rows = [
        [revision, f"{values['target_tokens_per_second']:,.0f}", f"{values['ratio_to_first']:.3f}"]
        for revision, values in figures.items()
    ]
    print_table(["revision", "target tokens/s", "speed / the first one's"], rows, texts=1)
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
