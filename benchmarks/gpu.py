"""Training and greedy translation on a GPU, beside Hugging Face's Marian with ``sdpa``, as ratios of the same run.

Both train the same shapes from the same weights on the same batches, in bfloat16 (theirs under autocast), and take
turns; then both translate the same sentences, each at the best of several batch sizes. Needs no Ray and no MLflow:
PyTorch, transformers and what continual_mt imports.

    python -m benchmarks.gpu --train train.fr train.en --test test.fr test.en

``--device cpu --updates 2`` is a tiny run of the whole script on any machine; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.contestants.generate import Generator
from benchmarks.contestants.hugging_face import IGNORED, Collator, marian
from benchmarks.tools.alternating import interleaved, speedup, timed
from benchmarks.tools.measure import Meter
from benchmarks.tools.report import machine, print_table, write_json
from benchmarks.tools.workload import SEED, SIDES, Workload
from continual_mt.artifacts.side import LanguageSide
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import epoch_batches
from continual_mt.inference.torch_model import PairModel
from continual_mt.inference.translator import Search
from continual_mt.interchange.huggingface.weights import hugging_face_names
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import PLAIN_SCOPES, Scope, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.trainer import BETAS, EPSILON, Task, Trainer, encoder_frozen

OURS, THEIRS = "ours", "hugging face"
TOKENS = (4096, 16384, 65536)
SENTENCES = (64, 256, 1024)
Train = Callable[[], int]
"""Does some updates; returns the target tokens in them."""


@dataclass(frozen=True)
class Bench:
    """What is measured, on what."""

    workload: Workload
    architecture: Architecture
    device: torch.device
    precision: Literal["bfloat16", "float32"]
    updates: int
    rounds: int

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def weights(self) -> dict[str, Tensor]:
        sizes: dict[str, int] = {side: self.workload.tokenizer(side).size for side in SIDES}
        return initial_tensors(self.architecture, parameter_names(self.architecture), sizes, SEED)

    def settings(self, updates: int) -> TrainingSettings:
        return self.workload.settings(updates).model_copy(update={"precision": self.precision})

    def finish(self) -> None:
        """Wait until the device has done all its work: a GPU computes asynchronously."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def trainer(bench: Bench, scope: Scope, side: SideName, updates: int) -> Trainer:
    """Ours, as a Ray worker sets it up; the states of a frozen encoder are computed before anything is timed."""
    source, target = (bench.workload.tokenizer(one) for one in SIDES)
    model = Transformer.pointing_at(bench.architecture, bench.weights()).to(bench.device)
    names, corpus = trainable_names(bench.architecture, scope, side), bench.workload.corpus()
    encoded = None
    if encoder_frozen(names):
        cache = Path(bench.workload.folder) / "cache"
        encoded = encode_sources(model.computing_in(bench.dtype), corpus, source, cache)
    return Trainer(Task(model, names, corpus, source, target, bench.settings(updates), SEED, encoded))


def ours(bench: Bench, scope: Scope, side: SideName) -> Train:
    total = bench.updates * (bench.rounds + 1)
    ours = trainer(bench, scope, side, total)

    def train() -> int:
        tokens = sum(ours.update()[1] for _ in range(bench.updates))
        bench.finish()
        return tokens

    return train


def theirs(bench: Bench, scope: Scope, side: SideName) -> Train:
    """Their model in the loop that PyTorch's and Hugging Face's guides show: autocast, fused AdamW, sdpa."""
    source, target = (bench.workload.tokenizer(one) for one in SIDES)
    model: Any = marian(source, target, bench.weights(), "sdpa", bench.architecture)
    model.to(bench.device).train()
    shared = hugging_face_names(bench.architecture)
    names = {shared[name] for name in trainable_names(bench.architecture, scope, side)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    # The output bias is a buffer of theirs, which does not train.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = bench.settings(bench.updates)
    optimizer = torch.optim.AdamW(
        trained, settings.learning_rate, BETAS, EPSILON, weight_decay=0.0, fused=bench.device.type == "cuda"
    )
    batches = padded(bench)

    def update() -> int:
        batch = next(batches)
        labels = batch.pop("labels")
        with torch.autocast(bench.device.type, bench.dtype, enabled=bench.precision == "bfloat16"):
            logits = model(**batch, use_cache=False).logits
            loss = functional.cross_entropy(
                logits.flatten(0, 1),
                labels.flatten(),
                ignore_index=IGNORED,
                label_smoothing=settings.label_smoothing,
            )
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return int((labels != IGNORED).sum())

    def train() -> int:
        tokens = sum(update() for _ in range(bench.updates))
        bench.finish()
        return tokens

    return train


def padded(bench: Bench) -> Iterator[dict[str, Tensor]]:
    """Batches of the same sentences that ours has, epoch after epoch, as their model wants them."""
    corpus, workload = bench.workload.corpus(), bench.workload
    source, target = (workload.tokenizer(side) for side in SIDES)
    collate = Collator(workload, Meter())
    for epoch in count():
        for indices in epoch_batches(corpus, workload.batch_tokens, SEED, epoch):
            items = [
                {
                    "input_ids": [*corpus.source(i).tolist(), source.end],
                    "labels": [*corpus.target(i).tolist(), target.end],
                }
                for i in indices.tolist()
            ]
            yield {name: tensor.to(bench.device) for name, tensor in collate(items).items()}


def training(bench: Bench) -> dict[str, dict[str, list[float]]]:
    """Target tokens a second of either in each round, by scope and side; one more round before is not counted."""
    found: dict[str, dict[str, list[float]]] = {}
    for scope in PLAIN_SCOPES:
        for side in SIDES[:1] if scope == "scratch" else SIDES:
            runs = {OURS: ours(bench, scope, side), THEIRS: theirs(bench, scope, side)}
            speeds: dict[str, list[float]] = {name: [] for name in runs}
            for number in range(bench.rounds + 1):
                for name, run in runs.items():
                    seconds, tokens = timed(run)
                    if number:
                        speeds[name].append(tokens / seconds)
            found[f"{scope} {side}"] = speeds
            middle = ", ".join(f"{name} {statistics.median(speed):,.0f}" for name, speed in speeds.items())
            print(f"{scope} {side}: {middle} target tokens/s", file=sys.stderr, flush=True)
            runs.clear()
            gc.collect()
    return found


def trained_model(bench: Bench, updates: int) -> PairModel:
    """A model in the precision that is measured, trained so that it ends its sentences."""
    trained = trainer(bench, "scratch", "source", updates)
    for _ in range(updates):
        trained.update()
    pair = Pair.parse(bench.workload.pair)
    source, target = (LanguageSide(pair.language(side), bench.workload.tokenizer(side)) for side in SIDES)
    assert isinstance(trained.task, Task)
    return PairModel(pair, trained.task.model.eval().computing_in(bench.dtype), source, target)


def translation(bench: Bench, model: PairModel, sentences: Sequence[str]) -> tuple[dict[str, list[float]], float]:
    """Seconds of either in each round, and the share of sentences for which both give the same tokens."""
    sources = [model.source.tokenizer.encode(sentence) for sentence in sentences]
    weights = {name: tensor.float() for name, tensor in model.transformer.state_dict().items()}
    hugging_face: Any = marian(model.source.tokenizer, model.target.tokenizer, weights, "sdpa", bench.architecture)
    generate = Generator(model, hugging_face.to(bench.device, bench.dtype))

    def search(size: int) -> list[list[int]]:
        return [best[0].tokens for best in model.search(sources, Search(1, batch_tokens=size, scored=False))]

    def best(sizes: Sequence[int], run: Callable[[int], list[list[int]]]) -> tuple[int, list[list[int]]]:
        run(sizes[0])  # kernels are loaded, memory is asked for
        trials = [(*timed(partial(run, size)), size) for size in sizes]
        _, answers, size = min(trials, key=lambda trial: trial[0])
        return size, answers

    size, answers = best(TOKENS, search)
    their_size, their_answers = best(SENTENCES, lambda size: generate(sources, 1, size))
    runs: dict[str, Callable[[], object]] = {OURS: partial(search, size)}
    runs[THEIRS] = partial(generate, sources, 1, their_size)
    same = sum(one == other for one, other in zip(answers, their_answers, strict=True)) / len(sources)
    return interleaved(runs, bench.rounds), same


def device_line(bench: Bench) -> str:
    where = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "the CPU, no GPU"
    return f"{where}, {bench.precision}, CUDA {torch.version.cuda}; {machine()}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="aligned text files")
    parser.add_argument("--test", nargs=2, required=True, metavar=("SOURCE", "TARGET"), help="what is translated")
    parser.add_argument("--pair", default="fr-en")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--layers", type=int, default=6, help="of the encoder, and of the decoder")
    parser.add_argument("--feed-forward", type=int, default=2048)
    parser.add_argument("--updates", type=int, default=50, help="of each contestant in a round")
    parser.add_argument("--model-updates", type=int, help="of the model that translates; default: 20 times --updates")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and ratio by name")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("--device: PyTorch finds no CUDA device; expected one. Fix: use --device cpu for a tiny run")
    return options


def main() -> None:
    options = parsed()
    train = tuple(str(Path(path).absolute()) for path in options.train)
    layers = {"encoder_layers": options.layers, "decoder_layers": options.layers}
    architecture = Architecture(
        width=options.width, heads=options.heads, feed_forward=options.feed_forward, maximum_positions=257, **layers
    )
    with tempfile.TemporaryDirectory() as folder:
        threads = torch.get_num_threads()
        files = (train[0], train[1])
        workload = Workload(folder, options.pair, files, files, options.batch_tokens, options.vocabulary, threads)
        workload.prepare()
        device = torch.device(options.device)
        bench = Bench(workload, architecture, device, options.precision, options.updates, options.rounds)
        begun = time.perf_counter()
        speeds = training(bench)
        model = trained_model(bench, options.model_updates or 20 * options.updates)
        sentences = Path(options.test[0]).read_text(encoding="utf-8").splitlines()[: options.sentences]
        seconds, same = translation(bench, model, sentences)
        print(f"measured in {time.perf_counter() - begun:,.0f} s", file=sys.stderr)
    ratios = {
        name: statistics.median(one / other for one, other in zip(*pair.values(), strict=True))
        for name, pair in speeds.items()
    }
    tokens = {name: {who: statistics.median(speed) for who, speed in pair.items()} for name, pair in speeds.items()}
    translated = {who: len(sentences) / statistics.median(taken) for who, taken in seconds.items()}
    ratios["greedy translation"] = speedup(seconds[OURS], seconds[THEIRS])
    print(
        f"{device_line(bench)}\n{architecture}, {options.batch_tokens:,} tokens a batch, {len(sentences)} sentences\n"
    )
    rows = [[name, *(f"{tokens[name][who]:,.0f}" for who in (OURS, THEIRS)), f"{ratios[name]:.2f}"] for name in tokens]
    print_table(["trains, target tokens/s", OURS, THEIRS, "ratio"], rows)
    row = ["greedy", *(f"{translated[who]:,.1f}" for who in (OURS, THEIRS)), f"{ratios['greedy translation']:.2f}"]
    print_table(["translates, sentences/s", OURS, THEIRS, "ratio"], [row])
    print(f"the same tokens for {100 * same:.1f} % of the sentences")
    if options.json:
        figures = {"target_tokens_per_second": tokens, "sentences_per_second": translated, "ratios": ratios}
        write_json(options.json, {"device": device_line(bench), "same": same, **figures})


if __name__ == "__main__":
    main()
