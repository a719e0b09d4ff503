"""Memory and speed of ``continual-mt translate`` over time, on a file of many lines.

python -m benchmarks.streaming --home continual-mt-home --pair fr-en --text test.fr --lines 1000000

With ``--pipe-rounds``, instead: the time through a pipe relative to that of the file, which take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from benchmarks.tools.report import machine, print_table, write_json

POLL_SECONDS = 2.0
SHOWN = 10


def write_text(text: Path, destination: Path, lines: int, words: int) -> None:
    """Write ``lines`` short lines: the first ``words`` words of each line of the text, repeated."""
    with text.open(encoding="utf-8") as source, destination.open("w", encoding="utf-8") as out:
        shortened = [" ".join(line.split()[:words]) for line in source]
        out.writelines(f"{line}\n" for line in islice(cycle(shortened), lines))


def resident_mb(process: int) -> float:
    """Return the resident memory of a process, in megabytes; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1e3
    except FileNotFoundError:
        pass
    return 0.0


def count_lines(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def seconds_taken(command: list[str], source: Path, output: Path, *, pipe: bool) -> float:
    """Translate a file, or the same text from another program through a pipe."""
    started = time.perf_counter()
    if pipe:
        with output.open("wb") as out, subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as writer:
            subprocess.run(command, stdin=writer.stdout, stdout=out, check=True)
    else:
        subprocess.run([*command, "--input", str(source), "--output", str(output)], check=True)
    return time.perf_counter() - started


def compare_pipe(command: list[str], source: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round for the file and for the pipe. Both have to give equally many lines."""
    seconds: dict[str, list[float]] = {"file": [], "pipe": []}
    for turn in range(rounds):
        for way in sorted(seconds, reverse=bool(turn % 2)):
            seconds[way].append(seconds_taken(command, source, folder / way, pipe=way == "pipe"))
        if count_lines(folder / "file") != count_lines(folder / "pipe"):
            raise SystemExit("the pipe gave another number of lines than the file")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--pair", required=True)
    parser.add_argument("--text", type=Path, required=True, help="plain text in the source language")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=3, help="of each line")
    parser.add_argument("--backend", default="ctranslate2")
    parser.add_argument("--pipe-rounds", type=int, default=0, help="compare a pipe with a file this many times")
    parser.add_argument("--quick", action="store_true", help="20,000 lines")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.lines = 20_000
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "source", Path(name) / "output"
        write_text(options.text, source, options.lines, options.words)
        command = [sys.executable, "-m", "continual_mt.cli.main", "translate", options.pair, "--beam", "1"]
        command += ["--home", str(options.home), "--backend", options.backend]
        if options.pipe_rounds:
            seconds_by_way = compare_pipe(command, source, Path(name), options.pipe_rounds)
            ratios = [file / pipe for file, pipe in zip(*seconds_by_way.values(), strict=True)]
            print(f"{machine()}, {options.backend}, greedy, {options.lines:,} lines, {options.pipe_rounds} rounds\n")
            print(f"throughput of a pipe / of a file: {statistics.median(ratios):.2f}")
            if options.json:
                write_json(options.json, {"lines": options.lines, "seconds": seconds_by_way})
            return
        started = time.perf_counter()
        process = subprocess.Popen([*command, "--input", str(source), "--output", str(output)])
        samples: list[tuple[float, int, float]] = []
        while process.poll() is None:
            samples.append((time.perf_counter() - started, count_lines(output), resident_mb(process.pid)))
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"translate ended with {process.returncode}")
        written = count_lines(output)
    translating = [sample for sample in samples if 0 < sample[1] < written]
    step = max(1, len(translating) // SHOWN)
    print(f"{machine()}, {options.backend}, greedy\n")
    rows = [[f"{lines:,}", f"{when:,.0f}", f"{memory:,.0f}"] for when, lines, memory in translating[::step]]
    print_table(["lines written", "seconds", "memory, MB"], rows, texts=0)
    print(f"\n{written:,} of {options.lines:,} lines in {seconds:,.0f} s, {written / seconds:,.0f} a second")
    if options.json:
        write_json(options.json, {"lines": written, "seconds": seconds, "samples": [list(s) for s in translating]})


if __name__ == "__main__":
    main()
