"""Time and memory of counting word translations in a million sentence pairs, on one core.

python -m benchmarks.word_translations --train train.fr train.en --pairs 1000000
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.tools.report import machine, print_table, write_json
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import tokenize_corpus
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.initialisation.word_translation import WordTranslations
from continual_mt.languages import Pair

PAIR = Pair("fr", "en")


def write_joined(text: tuple[Path, Path], folder: Path, pairs: int, joined: int) -> tuple[Path, Path]:
    """Write ``pairs`` line pairs, each of ``joined`` pairs of the text at random, so that none is repeated."""
    lines = list(zip(*(path.read_text(encoding="utf-8").splitlines() for path in text), strict=True))
    written = folder / "source", folder / "target"
    generator = random.Random(1)
    with written[0].open("w", encoding="utf-8") as source, written[1].open("w", encoding="utf-8") as target:
        for _ in range(pairs):
            chosen = generator.sample(lines, joined)
            source.write(" ".join(one[0] for one in chosen) + "\n")
            target.write(" ".join(one[1] for one in chosen) + "\n")
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="plain text")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--joined", type=int, default=2, help="lines of the text in each line that is counted")
    parser.add_argument("--types", type=int, default=16_000, help="of each side")
    parser.add_argument("--quick", action="store_true", help="10,000 pairs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.types = 10_000, 2_000
    with tempfile.TemporaryDirectory() as name:
        corpus = TextFiles(PAIR, *write_joined(tuple(options.train), Path(name), options.pairs, options.joined))
        source, target = (
            train_tokenizer(path.read_text(encoding="utf-8").splitlines, options.types) for path in options.train
        )
        tokens = tokenize_corpus(corpus, inspect(corpus).digest, source, target, Path(name))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        started, cpu = time.perf_counter(), time.process_time()
        table = WordTranslations.count(tokens, (source.size, target.size))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    links = int((tokens.source_lengths.astype(int) * tokens.target_lengths).sum())
    result = {
        "pairs": len(tokens),
        "links": links,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": peak,
        "peak_before_mb": before,
        "table_mb": len(table.to_bytes()) / 1e6,
    }
    print(f"{machine()}, both directions\n")
    print_table(list(result), [[f"{value:,.0f}" for value in result.values()]], texts=0)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
