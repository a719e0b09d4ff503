"""From a spec to the first update: in the process, on a cluster that the job starts, on one that exists, without jobs.

An untrained parent gets a new source language, whose text an earlier job tokenized. The job does one update, and
reports it after it has scored one sentence and written a checkpoint.

    python -m benchmarks.first_update --train train.fr train.en
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tools.measure import WARM_UP
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import ARCHITECTURE, Workload
from benchmarks.training import absolute, contestants, run
from continual_mt.artifacts.parent import Parent
from continual_mt.languages import Pair
from continual_mt.model.architecture import parameter_names
from continual_mt.model.initial_values import initial_tensors
from ray_jobs.cluster.connection import LOOPBACK
from registry import Lineage, Registry

PARENT = Pair("de", "en")
MOMENTS = {"a worker is there": r"worker \d+ on \w+: starts", "first update": r"update 1 of 1 "}
IN_PROCESS, NEW_CLUSTER, RUNNING_CLUSTER = "in the process", "on a cluster that it starts", "on a cluster that exists"
WITHOUT_JOBS = "only the training loop, from its imports on"
# A token of this benchmark's own, so that it touches no other.
ENVIRONMENT = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
RAY = str(Path(sys.executable).with_name("ray"))


def write_parent(workload: Workload, home: Path) -> None:
    source, target = workload.tokenizer("source"), workload.tokenizer("target")
    sizes = {"source": source.size, "target": target.size}
    tensors = initial_tensors(ARCHITECTURE, parameter_names(ARCHITECTURE), sizes, seed=1)
    parent = Parent.of_pair(PARENT, ARCHITECTURE, tensors, source, target)
    with Registry.open(home, create=True) as registry:
        registry.register_parent("parent", parent, lineage=Lineage(corpora=(), spec={}, code_version=""))


def spec(workload: Workload) -> dict[str, object]:
    text = dict(zip(("source", "target"), workload.train, strict=True))
    training = {
        "updates": 1,
        "validate_every": 1,
        "development_sentences": 1,
        "batch_tokens": workload.batch_tokens,
        "accumulate": 1,
    }
    return {
        "parent": "parent",
        "pair": workload.pair,
        "train": text,
        "dev": text,
        "training": training,
        "vocabulary": workload.vocabulary,
        "resources": {"cpus": workload.threads},
    }


def run_job(path: Path, home: Path, *where: str) -> dict[str, float]:
    """Seconds from the start of a job's process to each moment that it reports."""
    command = [sys.executable, "-m", "ray_jobs.add_language", str(path), "--home", str(home), *where]
    started, seconds = time.perf_counter(), {}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen([*command, "--again"], stdout=nothing, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        output = []
        for line in process.stderr:
            output.append(line)
            for moment, pattern in MOMENTS.items():
                if re.search(pattern, line):
                    seconds[moment] = time.perf_counter() - started
    if process.returncode or len(seconds) < len(MOMENTS):
        raise SystemExit(f"the job failed:\n{''.join(output)}")
    return seconds


def port_in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def cluster(port: int) -> Iterator[str]:
    """Start a cluster on this machine with Ray's command line; yields its address."""
    if port_in_use(port):
        raise SystemExit(f"port {port}: is in use. Fix: choose another one with --port")
    options = [f"--port={port}", f"--node-ip-address={LOOPBACK}", "--include-dashboard=false", "--disable-usage-stats"]
    command = [RAY, "start", "--head", "--block", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        try:
            while not port_in_use(port):
                if process.poll() is not None:
                    raise SystemExit(f"port {port}: Ray did not start. Fix: choose another one with --port")
                time.sleep(0.5)
            yield f"{LOOPBACK}:{port}"
        finally:
            process.terminate()


def median(times: int, measure_once: Callable[[], dict[str, float]]) -> dict[str, float]:
    rounds = [measure_once() for _ in range(times)]
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def measure(workload: Workload, folder: Path, port: int, times: int) -> dict[str, dict[str, float]]:
    def without_jobs() -> dict[str, float]:
        figures = run(contestants(None)[0], folder, ["--updates", str(WARM_UP + 1), "--scope", "xattn"])
        first = figures["seconds_to_first_update"]
        assert first is not None  # our own contestant always measures it
        return {"first update": first}

    home, path = folder / "home", folder / "spec.json"
    write_parent(workload, home)
    path.write_text(json.dumps(spec(workload)))
    run_job(path, home, "--in-process")
    seconds = {IN_PROCESS: median(times, lambda: run_job(path, home, "--in-process"))}
    seconds[NEW_CLUSTER] = median(times, lambda: run_job(path, home, "--address", "local"))
    with cluster(port) as address:
        seconds[RUNNING_CLUSTER] = median(times, lambda: run_job(path, home, "--address", address))
    return seconds | {WITHOUT_JOBS: median(times, without_jobs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--pair", default="fr-en", help=f"the pair of the text, XX-{PARENT.target}")
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--port", type=int, default=6399, help="of the running cluster")
    parser.add_argument("--times", type=int, default=3, help="number of repetitions; the median is reported")
    parser.add_argument("--quick", action="store_true", help="one repetition")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    options = parser.parse_args()
    texts = absolute(options.train)
    with tempfile.TemporaryDirectory() as name:
        workload = Workload(name, options.pair, texts, texts, 2048, options.vocabulary, options.threads)
        workload.prepare()
        seconds = measure(workload, Path(name), options.port, 1 if options.quick else options.times)
    print(f"{machine()}, {options.threads} threads\n")
    rows = [[how, *(f"{at[moment]:.1f}" if moment in at else "" for moment in MOMENTS)] for how, at in seconds.items()]
    print_table(["seconds since the process started", *MOMENTS], rows)
    if options.json:
        write_json(options.json, {"seconds": seconds})


if __name__ == "__main__":
    main()
