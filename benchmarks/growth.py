"""Training speed, memory and time to the first update for corpora of 10,000 to 1,000,000 sentence pairs.

The given text is repeated, or truncated, to each size.

    python -m benchmarks.growth --train train.fr train.en
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from benchmarks.tools.measure import WARM_UP
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import Workload
from benchmarks.training import contestants, run
from continual_mt.data.corpora.line_reader import read_lines

SIZES = (10_000, 100_000, 1_000_000)


def write_repeated(path: Path, count: int, folder: Path) -> str:
    """Write ``count`` lines of the text to a file, repeating it if necessary; returns the path."""
    lines = list(read_lines(path))
    written = folder / path.name.removesuffix(".gz").removesuffix(".zst")
    with written.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in islice(cycle(lines), count))
    return str(written)


def measure(options: argparse.Namespace, size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target = (write_repeated(Path(path), size, folder) for path in options.train)
        texts = source, target
        workload = Workload(name, options.pair, texts, texts, 2048, options.vocabulary, options.threads)
        workload.prepare()
        figures = run(contestants(None)[0], folder, ["--updates", str(options.updates)])
    print(f"{size:,} pairs: {figures['target_tokens_per_second']:,.0f} target tokens/s", file=sys.stderr, flush=True)
    return {key: value for key, value in figures.items() if value is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--pair", default="fr-en")
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--updates", type=int, default=60, help=f"the first {WARM_UP} are not timed")
    parser.add_argument("--quick", action="store_true", help="up to 100,000 pairs, fewer updates")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    options = parser.parse_args()
    sizes = SIZES[:2] if options.quick else SIZES
    if options.quick:
        options.updates = WARM_UP + 12
    found = {size: measure(options, size) for size in sizes}
    print(f"{machine()}, {options.threads} threads\n")
    rows = [
        [
            f"{size:,}",
            f"{values['target_tokens_per_second']:,.0f}",
            f"{values['peak_memory_mb']:,.0f} MB",
            f"{values.get('own_memory_mb', math.nan):,.0f} MB",
            f"{values['seconds_to_first_update']:.1f} s",
        ]
        for size, values in found.items()
    ]
    memory = ("peak memory", "without mapped files")
    titles = ["sentence pairs", "target tokens/s", *memory, "cached corpus to first update"]
    print_table(titles, rows, texts=0)
    smallest, largest = found[sizes[0]], found[sizes[-1]]

    def growth(name: str) -> float:
        return (largest.get(name, math.nan) - smallest.get(name, math.nan)) * 1e6 / (sizes[-1] - sizes[0])

    growths = {"with mapped tokens": growth("peak_memory_mb"), "beyond mapped tokens": growth("own_memory_mb")}
    print_table(["bytes of memory a sentence pair", ""], [[name, f"{value:.0f}"] for name, value in growths.items()])
    if options.json:
        by_size = {str(size): values for size, values in found.items()}
        write_json(options.json, {"sizes": by_size, "bytes_a_pair": growths})


if __name__ == "__main__":
    main()
