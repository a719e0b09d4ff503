"""Training speed of this project, Hugging Face's trainer and eole, as ratios measured in the same run.

All contestants train the same model on the same token ids with updates of the same size. They run one after the other,
each in a separate process, for several rounds; medians over rounds are reported.

    python -m benchmarks.training --train train.fr train.en --dev val.fr val.en --eole eole/bin/eole
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tools.measure import WARM_UP
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import Workload
from ray_jobs.cluster.ray_trainer import WORKER_ENVIRONMENT

SCOPES = (
    ("scratch", "source"),
    ("xattn", "source"),
    ("xattn", "target"),
    ("embeddings", "source"),
    ("embeddings", "target"),
    ("body", "source"),
    ("body", "target"),
)
MAIN_SCOPES = SCOPES[:3]
BASELINE = ("hugging face", "scratch", "source")


@dataclass(frozen=True)
class Contestant:
    """A program to measure: a module of ``benchmarks.contestants``. ``freezes``: whether it can train single scopes."""

    name: str
    module: str
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    freezes: bool = True


def contestants(eole: Path | None) -> list[Contestant]:
    found = [
        Contestant("ours", "ours", environment=tuple(WORKER_ENVIRONMENT.items())),
        Contestant("hugging face", "hugging_face"),
        Contestant("hugging face, tuned", "hugging_face", ("--tuned",)),
    ]
    if eole is not None:
        found.append(Contestant("eole", "eole", ("--program", str(eole)), freezes=False))
    return found


def run(contestant: Contestant, workload: Path, options: Sequence[str]) -> dict[str, float | None]:
    """Run a contestant in a process; returns its figures by name (see `benchmarks.tools.measure.Measured`)."""
    command = [sys.executable, "-m", f"benchmarks.contestants.{contestant.module}", str(workload)]
    done = subprocess.run(
        [*command, *contestant.options, *options],
        env=os.environ | dict(contestant.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{contestant.name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, float | None] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def measure(options: argparse.Namespace, workload: Workload) -> dict[str, dict[str, float | None]]:
    """Return all figures by contestant and scope: medians over rounds."""
    rounds: dict[str, list[dict[str, float | None]]] = {}
    scopes = SCOPES if options.all_scopes else MAIN_SCOPES
    for number in range(options.rounds):
        for scope, side in scopes:
            for contestant in contestants(options.eole):
                if scope != "scratch" and not contestant.freezes:
                    continue
                chosen = ["--updates", str(options.updates)]
                if contestant.freezes:
                    chosen += ["--scope", scope, "--side", side]
                figures = run(contestant, Path(workload.folder), chosen)
                key = f"{contestant.name} · {scope} {side}"
                rounds.setdefault(key, []).append(figures)
                speed = figures["target_tokens_per_second"]
                print(f"round {number + 1} · {key}: {speed:,.0f} target tokens/s", file=sys.stderr, flush=True)
    return {key: _median(results) for key, results in rounds.items()}


def _median(results: list[dict[str, float | None]]) -> dict[str, float | None]:
    return {
        name: None if value is None else statistics.median(result[name] or 0.0 for result in results)
        for name, value in results[0].items()
    }


def quality(options: argparse.Namespace, workload: Workload) -> dict[str, float]:
    """Return development BLEU after equally many updates from equal weights, ours and Hugging Face's, per seed."""
    scores = {}
    for seed in range(1, options.seeds + 1):
        for contestant in contestants(None)[:1] + contestants(None)[2:]:
            chosen = ["--updates", str(options.quality_updates), "--seed", str(seed), "--score"]
            figures = run(contestant, Path(workload.folder), chosen)
            scores[f"{contestant.name} · seed {seed}"] = figures["development_bleu"] or 0.0
            print(
                f"{contestant.name} · seed {seed}: {scores[f'{contestant.name} · seed {seed}']:.2f} BLEU",
                file=sys.stderr,
            )
    return scores


def ratios(figures: dict[str, dict[str, float | None]]) -> dict[str, float]:
    """Return all speeds relative to Hugging Face training everything, and ours relative to each contestant by scope."""

    def speed(key: str) -> float:
        return figures[key]["target_tokens_per_second"] or 0.0

    name, scope, side = BASELINE
    base = speed(f"{name} · {scope} {side}")
    found = {f"{key} / {name} · everything": speed(key) / base for key in figures}
    for key in figures:
        rival, _, trained = key.partition(" · ")
        if rival != "ours":
            found[f"ours / {rival} · {trained}"] = speed(f"ours · {trained}") / speed(key)
    return found


def absolute(paths: Sequence[str]) -> tuple[str, str]:
    source, target = (str(Path(path).absolute()) for path in paths)
    return source, target


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--dev", nargs=2, required=True, metavar=("SOURCE", "TARGET"))
    parser.add_argument("--pair", default="fr-en")
    parser.add_argument("--eole", type=Path, help="the program, in a separate environment (pip install eole)")
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--updates", type=int, default=60, help=f"of each run; the first {WARM_UP} are not timed")
    parser.add_argument("--rounds", type=int, default=3, help="timing rounds; 0 for none")
    parser.add_argument("--seeds", type=int, default=0, help="number of seeds for comparing development BLEU")
    parser.add_argument("--quality-updates", type=int, default=700)
    parser.add_argument("--quick", action="store_true", help="one round of few updates, which takes minutes")
    parser.add_argument("--all-scopes", action="store_true", help="include embeddings and body")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and ratio by name")
    options = parser.parse_args()
    if options.quick:
        options.updates, options.rounds = WARM_UP + 12, 1
    with tempfile.TemporaryDirectory() as folder:
        workload = Workload(
            folder,
            options.pair,
            absolute(options.train),
            absolute(options.dev),
            options.batch_tokens,
            options.vocabulary,
            options.threads,
        )
        workload.prepare()
        figures = measure(options, workload)
        scores = quality(options, workload) if options.seeds else {}
    print(f"{machine()}, {options.threads} threads\n")
    rows = [
        [
            *key.split(" · "),
            f"{values['target_tokens_per_second']:,.0f}",
            _share(values["padding"]),
            _share(values["share_in_products"]),
            f"{values['peak_memory_mb']:,.0f} MB",
            f"{values['tokens_an_update']:,.0f}",
        ]
        for key, values in figures.items()
    ]
    found = {}
    if figures:
        titles = ["", "trains", "target tokens/s", "padding", "in products", "peak memory", "tokens an update"]
        print_table(titles, rows, texts=2)
        found = ratios(figures)
        print_table(["ratio of speeds", ""], [[name, f"{value:.2f}"] for name, value in found.items()])
    if scores:
        print_table(["development BLEU", ""], [[name, f"{value:.2f}"] for name, value in scores.items()])
    if options.json:
        write_json(options.json, {"figures": figures, "ratios": found, "development_bleu": scores})


if __name__ == "__main__":
    main()
