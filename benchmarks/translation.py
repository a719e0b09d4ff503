"""Translation speed of both back ends, Hugging Face's generate and CTranslate2's own API; and many pairs at once.

A model is first trained for some minutes, so that it predicts end tokens. Each contestant translates the same test set,
sorted by length, with the fastest of several batch sizes. Our PyTorch back end runs in as many single-threaded
processes as the others have threads, and in one process with all threads. Contestants alternate; ratios are medians
over rounds.

    python -m benchmarks.translation --train train.fr train.en --dev val.fr val.en --test test.fr test.en
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from benchmarks.contestants.generate import Generator
from benchmarks.first_translation import first_translations
from benchmarks.pairs import many_pairs, mixed_requests, resident_memory
from benchmarks.tools.alternating import interleaved, speedup, timed
from benchmarks.tools.output_differences import explain_differences
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import ARCHITECTURE, SEED, Workload
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.inference.assembly import assemble
from continual_mt.inference.ctranslate2_model import CTranslate2Model, Precision, load_or_convert
from continual_mt.inference.mixed_batches import translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search, TokenTranslator
from continual_mt.languages import Pair
from continual_mt.model.architecture import parameter_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import Task, Trainer

Run = Callable[[int], list[list[int]]]
Answer = TypeVar("Answer")
BEAMS = (1, 5)
TOKENS = (1024, 2048, 4096, 8192, 16384)
SENTENCES = (32, 64, 128, 256)
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
RESIDENT = (1, 8, 32)


def train_parent(workload: Workload, updates: int) -> Parent:
    """Train a parent for so many updates, enough that translations have realistic lengths."""
    source, target = workload.tokenizer("source"), workload.tokenizer("target")
    model = Transformer.pointing_at(ARCHITECTURE, workload.first_weights(SEED))
    task = Task(
        model, parameter_names(ARCHITECTURE), workload.corpus(), source, target, workload.settings(updates), SEED
    )
    trainer = Trainer(task)
    for update in range(updates):
        trainer.update()
        if (update + 1) % 50 == 0:
            print(f"update {update + 1} of {updates}", file=sys.stderr, flush=True)
    pair = Pair.parse(workload.pair)
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return Parent.of_pair(pair, ARCHITECTURE, tensors, source, target)


def fastest_batch_size(name: str, sizes: Sequence[int], run: Run) -> tuple[int, list[list[int]]]:
    """Return the fastest batch size and the output with it."""
    trials = []
    for size in sizes:
        seconds, answer = timed(partial(run, size))
        trials.append((seconds, size, answer))
    seconds, size, answer = min(trials, key=lambda trial: trial[0])
    print(f"{name}: {seconds:.2f} s with batches of {size}", file=sys.stderr, flush=True)
    return size, answer


def search_tokens(
    model: TokenTranslator, sources: list[list[int]], beam: int, size: int, *, processes: int = 1
) -> list[list[int]]:
    search = Search(beam, batch_tokens=size * beam, scored=False, processes=processes)
    return [best[0].tokens for best in model.search(sources, search)]


def contestants(
    model: PairModel, converted: dict[Precision, CTranslate2Model], sources: list[list[int]], beam: int, threads: int
) -> dict[str, tuple[Sequence[int], Run]]:
    found: dict[str, tuple[Sequence[int], Run]] = {
        "ours, torch": (TOKENS, partial(search_tokens, model, sources, beam, processes=threads)),
        "ours, torch, one process": (TOKENS, partial(search_tokens, model, sources, beam)),
        "hugging face generate": (SENTENCES, partial(Generator(model), sources, beam)),
    }
    for precision, one in converted.items():
        found[f"ours, ctranslate2 {precision}"] = TOKENS, partial(search_tokens, one, sources, beam)
        found[f"ctranslate2 {precision}, directly"] = TOKENS, partial(call_ctranslate2_directly, one, sources, beam)
    return found


def call_ctranslate2_directly(
    model: CTranslate2Model, sources: list[list[int]], beam: int, size: int
) -> list[list[int]]:
    """Translate as in CTranslate2's documentation: pieces in, pieces out. Returns an empty list."""
    pieces, end = model.source.tokenizer.pieces, model.source.tokenizer.end
    batch = [[*(pieces[token] for token in source), pieces[end]] for source in sources]
    limit = 2 * max(map(len, sources)) + 22  # the same limit as ours, against endless repetitions
    model.engine.translate_batch(
        batch, beam_size=beam, max_batch_size=size, batch_type="tokens", max_decoding_length=limit
    )
    return []


class Speeds(NamedTuple):
    """Seconds per round; the share of outputs equal to generate's; the reasons why those of our PyTorch differ."""

    seconds: dict[str, list[float]]
    same: dict[str, float]
    differences: dict[str, int]


def measure_speeds(options: argparse.Namespace, model: PairModel, cache: Path, sources: list[list[int]]) -> Speeds:
    converted = {
        precision: load_or_convert(model, cache, precision=precision, threads=options.threads)
        for precision in PRECISIONS
    }
    found = Speeds({}, {}, {})
    for beam in BEAMS:
        answers, best = {}, {}
        for name, (sizes, run) in contestants(model, converted, sources, beam, options.threads).items():
            chosen = sizes[1::2] if options.quick else sizes
            size, answers[name] = fastest_batch_size(f"{name}, beam {beam}", chosen, run)
            best[f"{name} · beam {beam}"] = partial(run, size)
        found.seconds.update(interleaved(best, options.rounds))
        theirs = answers["hugging face generate"]
        for name, ours in answers.items():
            if ours and ours is not theirs:
                equal = [first == second for first, second in zip(ours, theirs, strict=True)]
                found.same[f"{name} · beam {beam}"] = sum(equal) / len(equal)
        for reason, count in explain_differences(model, sources, answers["ours, torch"], theirs).items():
            found.differences[f"beam {beam}, {reason}"] = count
    return found


def measure_many_pairs(options: argparse.Namespace, parent: Parent, sentences: list[str]) -> dict[str, float]:
    """Measure the memory of resident pairs, the time to switch pairs, and a batch of eight pairs against one of one."""
    found: dict[str, float] = {}
    for count in RESIDENT:
        found |= resident_memory(parent, count)
    models = many_pairs(parent, 8)
    started = time.perf_counter()
    for recipe, modules in models[1:]:
        assemble(recipe, parent, modules)
    found["milliseconds to switch pair"] = (time.perf_counter() - started) / (len(models) - 1) * 1e3
    pairs = [assemble(recipe, parent, modules) for recipe, modules in models]
    runs = {
        name: partial(translate_mixed, mixed_requests(chosen, sentences), beam=1)
        for name, chosen in (("one pair", pairs[:1]), ("eight pairs", pairs))
    }
    seconds = interleaved(runs, options.rounds)
    for name, taken in seconds.items():
        found[f"sentences/s, a mixed batch of {name}"] = len(sentences) / statistics.median(taken)
    found["mixed batch of eight pairs / of one"] = speedup(seconds["eight pairs"], seconds["one pair"])
    return found


def ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    found = {}
    for beam in BEAMS:
        rival = f"hugging face generate · beam {beam}"
        for name in (
            "ours, torch",
            "ours, torch, one process",
            *(f"ours, ctranslate2 {precision}" for precision in PRECISIONS),
        ):
            found[f"{name} / {rival}"] = speedup(seconds[f"{name} · beam {beam}"], seconds[rival])
        for precision in PRECISIONS:
            ours, theirs = f"ours, ctranslate2 {precision}", f"ctranslate2 {precision}, directly"
            found[f"{ours} / directly · beam {beam}"] = speedup(
                seconds[f"{ours} · beam {beam}"], seconds[f"{theirs} · beam {beam}"]
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for role, text in (("train", "aligned text files"), ("dev", "the same"), ("test", "the text to translate")):
        parser.add_argument(f"--{role}", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help=text)
    parser.add_argument("--pair", default="fr-en")
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--updates", type=int, default=1200, help="updates of training before the measurements")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="less training, fewer sentences and sizes; takes minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and ratio by name")
    options = parser.parse_args()
    if options.quick:
        options.updates, options.sentences, options.rounds = 250, 300, 1
    torch.set_num_threads(options.threads)
    files = {role: tuple(str(Path(path).absolute()) for path in getattr(options, role)) for role in ("train", "dev")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, dev = ((paths[0], paths[1]) for paths in files.values())
        workload = Workload(name, options.pair, train, dev, 2048, options.vocabulary, options.threads)
        workload.prepare()
        parent = train_parent(workload, options.updates)
        test = TextFiles(parent.pair, Path(options.test[0]), Path(options.test[1]))
        sentences = [line.source for line, _ in zip(test.read(), range(options.sentences), strict=False)]
        recipe = Recipe("original", parent.pair, "parent", parent.fingerprint)
        model = assemble(recipe, parent, {})
        sources = [parent.source_tokenizer.encode(sentence) for sentence in sentences]
        seconds, same, differences = measure_speeds(options, model, folder / "cache", sources)
        first = first_translations(model, recipe, parent, folder, sources[0])
        pairs = measure_many_pairs(options, parent, sentences)
    figures = {name: len(sources) / statistics.median(taken) for name, taken in seconds.items()}
    found = ratios(seconds)
    print(f"{machine()}, {options.threads} threads, {len(sentences)} sentences\n")
    print_table(
        ["", "beam", "sentences/s"], [[*key.split(" · beam "), f"{value:,.1f}"] for key, value in figures.items()], 2
    )
    print_table(["ratio of speeds", ""], [[key, f"{value:.2f}"] for key, value in found.items()])
    print_table(["the same answers as generate", ""], [[key, f"{100 * value:.1f} %"] for key, value in same.items()])
    print_table(["ours, torch, and generate differ", "sentences"], [[key, str(n)] for key, n in differences.items()])
    print_table(["files to first translation", "ms"], [[key, f"{value:,.0f}"] for key, value in first.items()])
    print_table(["many pairs", ""], [[key, f"{value:,.2f}"] for key, value in pairs.items()])
    if options.json:
        write_json(
            options.json,
            {
                "sentences_per_second": figures,
                "ratios": found,
                "same": same,
                "pairs": pairs,
                "differences": differences,
                "first_translation_ms": first,
            },
        )


if __name__ == "__main__":
    main()
