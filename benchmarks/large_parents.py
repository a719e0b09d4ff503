"""Seconds and memory to import, load, translate and extend parents of published sizes, beside ``from_pretrained``.

The models have random weights and vocabularies of random pieces, in the format of Hugging Face's transformers. Each
step runs in a separate process. Its memory is what the process grew by beyond importing PyTorch; mapped files count.

    python -m benchmarks.large_parents --shapes opus-mt nllb-600m
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tools.measure import peak_memory_mb
from benchmarks.tools.report import machine, print_table, write_json

PAIR, NEW_PAIR = "fr-en", "de-en"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SENTENCE = "a few short words"
LINES = 200


@dataclass(frozen=True)
class Shape:
    """The settings of a published model; ``pieces`` are those of its SentencePiece models."""

    family: str
    pieces: int
    settings: dict[str, Any]


def _layers(number: int, width: int, heads: int, feed_forward: int) -> dict[str, int]:
    sides = ("encoder", "decoder")
    counts = {"layers": number, "attention_heads": heads, "ffn_dim": feed_forward}
    return {"d_model": width} | {f"{side}_{name}": value for side in sides for name, value in counts.items()}


SHAPES = {
    # As Helsinki-NLP/opus-mt-fr-en: 59,514 types.
    "opus-mt": Shape(
        "marian", 59_511, {"vocab_size": 59_514, "activation_function": "swish"} | _layers(6, 512, 8, 2048)
    ),
    # As facebook/nllb-200-distilled-600M: 256,206 types.
    "nllb-600m": Shape("m2m_100", 255_997, {"vocab_size": 256_206} | _layers(12, 1024, 16, 4096)),
}


def write_model(shape: Shape, folder: Path, precision: str) -> None:
    """Write a model of random weights, with its vocabulary."""
    import torch
    from sentencepiece import sentencepiece_model_pb2
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # generated at runtime
    generator = random.Random(0)
    names = dict.fromkeys([*LETTERS, "▁", *(f"▁{word}" for word in SENTENCE.split())])
    while len(names) < shape.pieces:
        word = "".join(generator.choices(LETTERS, k=generator.randint(2, 7)))
        names[generator.choice(("", "▁")) + word] = None
    for number, name in enumerate(["<unk>", "<s>", "</s>", *names]):
        piece = model.pieces.add()
        piece.piece, piece.score, piece.type = name, -float(number), (2, 3, 3)[number] if number < 3 else 1
    marian = shape.family == "marian"
    model.trainer_spec.model_type = 1 if marian else 2
    content: bytes = model.SerializeToString()
    if marian:
        types = {name: number for number, name in enumerate(["</s>", "<unk>", *names, "<pad>"])}
        ids = {"eos_token_id": 0, "pad_token_id": len(types) - 1, "decoder_start_token_id": len(types) - 1}
        folder.joinpath("vocab.json").write_text(json.dumps(types))
        for side in ("source", "target"):
            folder.joinpath(f"{side}.spm").write_bytes(content)
    else:
        ids = {"eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 2}
        folder.joinpath("sentencepiece.bpe.model").write_bytes(content)
        folder.joinpath("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "NllbTokenizer"}))
    config = AutoConfig.for_model(shape.family, scale_embedding=True, **shape.settings, **ids)
    written: Any = AutoModelForSeq2SeqLM
    written.from_config(config).to(getattr(torch, precision)).save_pretrained(folder)


def import_parent(folder: Path) -> Callable[[], None]:
    from transformers import AutoConfig  # noqa: F401  # as part of preparing

    from continual_mt.interchange.huggingface import import_parent as importing
    from registry import Lineage, Registry

    def step() -> None:
        request = importing.Request(str(folder / "model"), "parent", PAIR)
        with (
            importing.import_parent(request, folder / "cache") as imported,
            Registry.open(folder / "home", create=True) as registry,
        ):
            lineage = Lineage(corpora=(), spec=imported.spec.recorded(), code_version="")
            registry.register_parent("parent", imported.parent, lineage=lineage)

    return step


def translate(pair: str) -> Callable[[Path], Callable[[], None]]:
    def prepare(folder: Path) -> Callable[[], None]:
        import torch

        import continual_mt.inference.assembly  # noqa: F401  # as part of preparing
        from registry import Registry

        torch.set_num_threads(1)

        def step() -> None:
            with Registry.open(folder / "home") as registry:
                registry.assemble(*pair.split("-")).translate([SENTENCE], beam=1)

        return step

    return prepare


def add_language(folder: Path) -> Callable[[], None]:
    """Train one update of a new source language with a small vocabulary, and score one sentence of it."""
    generator = random.Random(1)
    for language in NEW_PAIR.split("-"):
        words = ["".join(generator.choices(LETTERS, k=5)) for _ in range(LINES)]
        lines = (" ".join(generator.choices(words, k=6)) for _ in range(LINES))
        folder.joinpath(f"train.{language}").write_text("".join(f"{line}\n" for line in lines))
    text = {
        side: str(folder / f"train.{tag}") for side, tag in zip(("source", "target"), NEW_PAIR.split("-"), strict=True)
    }
    spec = {
        "parent": "parent",
        "pair": NEW_PAIR,
        "train": text,
        "dev": text,
        "initialisation": "random",
        "training": {
            "updates": 1,
            "validate_every": 1,
            "development_sentences": 1,
            "batch_tokens": 512,
            "accumulate": 1,
        },
        "vocabulary": 100,
        "resources": {"cpus": 1},
    }
    folder.joinpath("spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "ray_jobs.add_language", str(folder / "spec.json"), "--in-process"]

    def step() -> None:
        done = subprocess.run([*command, "--home", str(folder / "home")], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)

    return step


def from_pretrained(then: Callable[[Any, Path], object]) -> Callable[[Path], Callable[[], None]]:
    def prepare(folder: Path) -> Callable[[], None]:
        import torch
        from transformers import M2M100ForConditionalGeneration, MarianMTModel

        torch.set_num_threads(1)
        family = json.loads((folder / "model" / "config.json").read_text())["model_type"]
        kind: Any = MarianMTModel if family == "marian" else M2M100ForConditionalGeneration

        def step() -> None:
            then(kind.from_pretrained(folder / "model", dtype=torch.float32), folder)

        return step

    return prepare


def generate(model: Any, folder: Path) -> object:
    import torch

    return model.generate(torch.tensor([[7, 8, 9, 10, 2]]), num_beams=1, max_new_tokens=64)


OURS = {
    "ours: import": import_parent,
    "ours: load and translate": translate(PAIR),
    "ours: add a language, one update": add_language,
    "ours: load and translate the new pair": translate(NEW_PAIR),
}
THEIRS = {
    "transformers: from_pretrained, save_pretrained": from_pretrained(
        lambda model, folder: model.save_pretrained(folder / "saved")
    ),
    "transformers: from_pretrained, generate": from_pretrained(generate),
}
STEPS: dict[str, Callable[[Path], Callable[[], None]]] = {"only PyTorch": lambda folder: lambda: None, **OURS, **THEIRS}


def run_step(name: str, folder: Path) -> dict[str, float]:
    """Run a step in this process. Returns its seconds, without imports, and the peak memory in megabytes."""
    import torch  # noqa: F401

    step = STEPS[name](folder)
    started, cpu = time.perf_counter(), time.process_time()
    step()
    seconds = time.perf_counter() - started
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = time.process_time() - cpu + children.ru_utime + children.ru_stime
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "megabytes": max(peak_memory_mb(), children.ru_maxrss / 1e3),
    }


def measure(name: str, folder: Path, times: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {step: [] for step in STEPS}
    for _ in range(times):
        # A registry keeps what it has: it is new each time.
        subprocess.run(["rm", "-rf", str(folder / "home"), str(folder / "saved")], check=True)
        for step in STEPS:
            command = [sys.executable, "-m", "benchmarks.large_parents", "--step", step, "--folder", str(folder)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}, {step}: failed")
            found[step].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        step: {figure: statistics.median(one[figure] for one in rounds) for figure in rounds[0]}
        for step, rounds in found.items()
    }


def rows(figures: dict[str, dict[str, float]], weights: float) -> Sequence[Sequence[str]]:
    baseline = figures["only PyTorch"]["megabytes"]
    return [
        [
            step,
            f"{at['seconds']:.1f}",
            f"{at['cpu_seconds']:.1f}",
            f"{at['megabytes'] - baseline:,.0f}",
            f"{(at['megabytes'] - baseline) / weights:.2f}",
        ]
        for step, at in figures.items()
        if step in OURS or step in THEIRS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--precision", choices=("float32", "float16"), default="float32", help="of the written weights")
    parser.add_argument("--times", type=int, default=3, help="number of repetitions; the median is reported")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure by name")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.folder)))
        return
    print(f"{machine()}\n")
    all_figures = {}
    for name in options.shapes:
        with tempfile.TemporaryDirectory() as written:
            folder = Path(written)
            (folder / "model").mkdir()
            write_model(SHAPES[name], folder / "model", options.precision)
            weights = (folder / "model" / "model.safetensors").stat().st_size / 1e6
            figures = measure(name, folder, options.times)
        print(f"{name}: {weights:,.0f} MB of weights in {options.precision}")
        print_table(["", "seconds", "CPU seconds", "MB", "× the weights"], rows(figures, weights))
        print()
        all_figures[name] = {"megabytes_of_weights": weights, "steps": figures}
    if options.json:
        write_json(options.json, all_figures)


if __name__ == "__main__":
    main()
