"""A small parent fr-en, trained on the device under test, and tasks that add a language to it there or on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.config.hyperparameters import Precision, TrainingSettings
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture, group_names, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import Task, Trainer
from tests.cuda.text import sentences
from tests.markers import deselect_unless_named

DEVICE_VARIABLE = "CONTINUAL_MT_TEST_DEVICE"
HELD_OUT = 40
UPDATES = 300
ARCHITECTURE = Architecture(
    width=64, heads=4, encoder_layers=2, decoder_layers=2, feed_forward=128, maximum_positions=48
)
PAIRS: dict[SideName, str] = {"source": "de-en", "target": "fr-es"}
STARTS_RANDOM: dict[Scope, tuple[str, ...]] = {
    "embeddings": (),
    "xattn": (),
    "xattn-random": ("cross_attention",),
    "half": (),
    "body": (),
    "scratch": ("encoder", "decoder", "cross_attention"),
}

MakeTask = Callable[..., Task]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in ("cuda", "cuda_ray"):
        deselect_unless_named(marker, config, items)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device under test; fails where there is none."""
    name = os.environ.get(DEVICE_VARIABLE, "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.fail(
            "PyTorch finds no CUDA device; expected a machine with one. Fix: run these tests there, or set "
            f"{DEVICE_VARIABLE}=cpu to see that the tests themselves work",
            pytrace=False,
        )
    # What runs on the CPU is small: several threads would only wait for each other.
    torch.set_num_threads(1)
    return torch.device(name)


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """Products of float32 are computed in float32: TF32 has three decimal digits, and what is compared needs more."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="session")
def text() -> dict[str, list[str]]:
    return sentences()


@pytest.fixture(scope="session")
def tokenizers(text: dict[str, list[str]]) -> dict[str, Tokenizer]:
    """Of different sizes, so that one taken for another does not fit."""
    sizes = {"fr": 90, "en": 80, "de": 85, "es": 95}
    return {name: train_tokenizer(lambda name=name: text[name], size) for name, size in sizes.items()}


@pytest.fixture(scope="session")
def corpora(
    text: dict[str, list[str]], tokenizers: dict[str, Tokenizer], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TokenizedCorpus]:
    """The training part of a pair as token ids: ``corpora("de-en")``."""
    folder = tmp_path_factory.mktemp("text")
    for language, lines in text.items():
        (folder / language).write_text("".join(f"{line}\n" for line in lines[HELD_OUT:]), encoding="utf-8")

    def tokenize(name: str) -> TokenizedCorpus:
        pair = Pair.parse(name)
        files = TextFiles(pair, folder / pair.source, folder / pair.target)
        sides = tokenizers[pair.source], tokenizers[pair.target]
        return tokenize_corpus(files, inspect(files).digest, *sides, folder / "cache", maximum_tokens=47)

    return tokenize


def settings(precision: Precision = "float32", **changes: object) -> TrainingSettings:
    values: dict[str, object] = {
        "updates": 40,
        "batch_tokens": 512,
        "accumulate": 1,
        "learning_rate": 3e-3,
        "warmup": 10,
        "dropout": 0.0,
        "precision": precision,
    }
    return TrainingSettings.model_validate(values | changes)


def losses(task: Task, updates: int) -> list[float]:
    """Train; return the mean loss of a target token, in nats, of each update."""
    trainer = Trainer(task)
    found = [trainer.update() for _ in range(updates)]
    return [loss / tokens for loss, tokens in found]


def untrained(architecture: Architecture, source: Tokenizer, target: Tokenizer) -> Parent:
    names, sizes = parameter_names(architecture), {"source": source.size, "target": target.size}
    tensors = initial_tensors(architecture, names, sizes, seed=1)
    return Parent.of_pair(Pair("fr", "en"), architecture, tensors, source, target)


def trained(parent: Parent, corpus: TokenizedCorpus, device: torch.device) -> Parent:
    """A parent of fr-en, trained on the device until it ends its sentences; its tensors are on the CPU."""
    model = Transformer.pointing_at(parent.architecture, parent.tensors).to(device)
    source, target = (side.tokenizer for side in parent.sides(Pair("fr", "en")))
    # With a larger rate or smoothed labels it learns English long before it looks at the French.
    chosen = settings(updates=UPDATES, learning_rate=1e-3, warmup=60, label_smoothing=0.0)
    losses(Task(model, parameter_names(parent.architecture), corpus, source, target, chosen, seed=1), UPDATES)
    return replace(parent, tensors={name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})


@pytest.fixture(scope="session")
def parent(device: torch.device, tokenizers: dict[str, Tokenizer], corpora: Callable[[str], TokenizedCorpus]) -> Parent:
    """The trained parent fr-en."""
    return trained(untrained(ARCHITECTURE, tokenizers["fr"], tokenizers["en"]), corpora("fr-en"), device)


@pytest.fixture
def make_task(parent: Parent, tokenizers: dict[str, Tokenizer], corpora: Callable[[str], TokenizedCorpus]) -> MakeTask:
    """``make_task("xattn", "source", device, precision="bfloat16")``: an addition to the parent, from equal weights."""

    def make(scope: Scope, side: SideName, where: torch.device, **chosen: object) -> Task:
        pair = Pair.parse(PAIRS[side])
        source, target = tokenizers[pair.source], tokenizers[pair.target]
        random = [name for group in (side, *STARTS_RANDOM[scope]) for name in group_names(ARCHITECTURE, group)]  # type: ignore[arg-type]
        sizes = {"source": source.size, "target": target.size}
        start = parent.tensors | initial_tensors(ARCHITECTURE, tuple(random), sizes, seed=2)
        model = Transformer.pointing_at(ARCHITECTURE, {name: t.clone() for name, t in start.items()}).to(where)
        names = trainable_names(ARCHITECTURE, scope, side)
        return Task(model, names, corpora(PAIRS[side]), source, target, settings(**chosen), seed=3)  # type: ignore[arg-type]

    return make


@pytest.fixture
def held_out(text: dict[str, list[str]]) -> dict[str, list[str]]:
    """Sentences that nothing was trained on."""
    return {language: lines[:HELD_OUT] for language, lines in text.items()}
