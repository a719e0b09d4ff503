"""From a spec to the first update of an addition, through Ray, beside what Ray itself takes to run nothing.

The home holds a parent; it is copied, and the copy is thrown away. The corpus is cached by a first run.

    python -m benchmarks.startup --home continual-mt-home --pair de-en --train train.de train.en --dev val.de val.en
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import machine, print_table, write_json

# A process that starts Ray on this machine and trains nothing with one worker, which says when its turn has come.
NOTHING = """
import os, sys
from ray_jobs.cluster import connected
import ray.train
from ray.train.torch import TorchTrainer

def work():
    open(sys.argv[1], "w").close()

with connected():
    scaling = ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": os.cpu_count()})
    TorchTrainer(work, scaling_config=scaling, run_config=ray.train.RunConfig(storage_path=sys.argv[2])).fit()
"""


def nothing(folder: Path) -> dict[str, float]:
    """Seconds until a worker of Ray Train runs, and until its empty work is over."""
    mark = folder / "mark"
    script = folder / "nothing.py"
    script.write_text(NOTHING)
    started = time.time()
    command = [sys.executable, str(script), str(mark), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ended = time.time()
    worked = mark.stat().st_mtime
    mark.unlink()
    return {"worker runs": worked - started, "all over": ended - started}


def addition(options: argparse.Namespace, home: Path, seed: int) -> dict[str, float]:
    """The same of an addition of one update, and how long that took to come."""
    command = [sys.executable, "-m", "continual_mt.cli.main", "add", options.pair, "--home", str(home)]
    command += ["--train", *options.train, "--dev", *options.dev, "--set", f"seed={seed}"]
    for setting in ("updates=1", "validate_every=1", "development_sentences=1", "accumulate=1"):
        command += ["--set", f"training.{setting}"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = {}
    for line in process.stderr:
        if line.rstrip().endswith(": starts"):
            found["worker runs"] = time.perf_counter() - started
        elif "update 1 of 1" in line:
            found["first update"] = time.perf_counter() - started
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return found | {"all over": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--pair", required=True)
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--dev", nargs=2, required=True, metavar=("SOURCE", "TARGET"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"an addition": [], "Ray, for nothing": []}
    with tempfile.TemporaryDirectory() as name:
        home, folder = Path(name) / "home", Path(name) / "nothing"
        folder.mkdir()
        shutil.copytree(options.home, home)
        addition(options, home, seed=10_000)
        for number in range(1 if options.quick else options.rounds):
            found["an addition"].append(addition(options, home, seed=10_001 + number))
            found["Ray, for nothing"].append(nothing(folder))
    figures = {
        who: {what: statistics.median(round_[what] for round_ in rounds) for what in rounds[0]}
        for who, rounds in found.items()
    }
    print(f"{machine()}, {os.cpu_count()} processors, the median of {len(found['an addition'])}\n")
    columns = ["worker runs", "first update", "all over"]
    rows = [
        [who, *(f"{values[column]:.1f} s" if column in values else "" for column in columns)]
        for who, values in figures.items()
    ]
    print_table(["", *columns], rows, texts=1)
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
