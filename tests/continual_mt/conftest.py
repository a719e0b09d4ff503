"""A parent and additions to it that are small enough for every test: random weights, tokenizers of real text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.vocabulary import tensor_shapes
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.languages import Pair
from continual_mt.model.architecture import GROUPS, Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, added_shapes, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import Task

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeModule = Callable[..., Module]
MakeParent = Callable[[Architecture], Parent]
MakeTask = Callable[..., Task]


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(width=16, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=24, maximum_positions=48)


@pytest.fixture(scope="session")
def django_tokenizers(django_catalogs: dict[str, list[str]]) -> dict[str, Tokenizer]:
    """Of different sizes, so that one taken for another does not fit."""
    sizes = {"en": 300, "es": 310, "de": 320, "pt": 330}
    return {name: train_tokenizer(lambda name=name: django_catalogs[name], size) for name, size in sizes.items()}


@pytest.fixture(scope="session")
def tokenize_files(
    django_text_files: dict[str, Path],
    django_tokenizers: dict[str, Tokenizer],
    tmp_path_factory: pytest.TempPathFactory,
) -> TokenizeFiles:
    """Django's catalogs of a source and a target language as token ids."""
    cache = tmp_path_factory.mktemp("cache")

    def tokenize(source: str, target: str) -> TokenizedCorpus:
        corpus = TextFiles(Pair(source, target), django_text_files[source], django_text_files[target])
        tokenizers = django_tokenizers[source], django_tokenizers[target]
        return tokenize_corpus(corpus, inspect(corpus).digest, *tokenizers, cache, maximum_tokens=47)

    return tokenize


def lively_tensors(
    architecture: Architecture,
    names: tuple[str, ...],
    sizes: dict[str, int],
    seed: int,
    added: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, Tensor]:
    """Starting tensors with matrices three times as large: at width 16 the usual ones hardly change what they see.

    What a scope adds would change nothing as it starts; it is random instead.
    """
    tensors = initial_tensors(architecture, names, sizes, seed, added)
    generator = torch.Generator().manual_seed(seed)
    tensors |= {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in (added or {}).items()}
    matrices = {name for name, tensor in tensors.items() if tensor.dim() == 2 and not name.endswith(".embedding")}
    return {name: tensor * 3 if name in matrices else tensor for name, tensor in tensors.items()}


@pytest.fixture(scope="session")
def make_parent(django_tokenizers: dict[str, Tokenizer]) -> MakeParent:
    """An untrained parent es-en of an architecture."""

    def make(architecture: Architecture) -> Parent:
        source, target = django_tokenizers["es"], django_tokenizers["en"]
        sizes = {"source": source.size, "target": target.size}
        tensors = lively_tensors(architecture, parameter_names(architecture), sizes, seed=1)
        return Parent.of_pair(Pair("es", "en"), architecture, tensors, source, target)

    return make


@pytest.fixture(scope="session")
def parent(architecture: Architecture, make_parent: MakeParent) -> Parent:
    return make_parent(architecture)


@pytest.fixture(scope="session")
def make_own(django_tokenizers: dict[str, Tokenizer]) -> MakeParent:
    """An untrained parent from Spanish and English into English and Portuguese, each with its own vocabulary."""

    def make(architecture: Architecture) -> Parent:
        source, target = ({tag: django_tokenizers[tag] for tag in tags} for tags in (("es", "en"), ("en", "pt")))
        generator = torch.Generator().manual_seed(1)
        shapes = tensor_shapes(architecture, source, target)
        tensors = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
        languages = ParentLanguages(*(tuple(ParentSide(tag, tag) for tag in tags) for tags in (source, target)))
        return Parent(architecture, tensors, source, target, languages)

    return make


@pytest.fixture(scope="session")
def own(architecture: Architecture, make_own: MakeParent) -> Parent:
    return make_own(architecture)


@pytest.fixture(scope="session")
def make_module(parent: Parent, django_tokenizers: dict[str, Tokenizer]) -> MakeModule:
    """A module with random tensors, for ``parent`` or another: make_module("pt-en", scope="xattn")."""
    usual = parent

    def make(pair_text: str, scope: Scope = "xattn", seed: int = 2, parent: Parent = usual) -> Module:
        pair = Pair.parse(pair_text)
        side = parent.languages.new_side(pair)
        tokenizer = django_tokenizers[pair.language(side)]
        new = {side: tokenizer}
        sides = parent.sides(pair, new.get("source"), new.get("target"))
        sizes = {"source": sides[0].tokenizer.size, "target": sides[1].tokenizer.size}
        names = trainable_names(parent.architecture, scope, side)
        added = added_shapes(parent.architecture, scope, side)
        tensors = lively_tensors(parent.architecture, names, sizes, seed, added)
        return Module.of(parent, pair, scope, tensors, tokenizer)

    return make


@pytest.fixture
def model(parent: Parent) -> Transformer:
    """The parent's model on copies of its weights, so that a test may train it."""
    assert set(GROUPS) == {name.partition(".")[0] for name in parent.tensors}
    return Transformer.pointing_at(parent.architecture, {name: t.clone() for name, t in parent.tensors.items()})


@pytest.fixture
def make_task(parent: Parent, tokenize_files: TokenizeFiles) -> MakeTask:
    """Training all of the parent, or of another one, on Django's catalogs, from copies of its weights."""
    usual = parent

    def make(
        trainable: tuple[str, ...] | None = None,
        seed: int = 3,
        parent: Parent = usual,
        added: Mapping[str, tuple[int, ...]] | None = None,
        **changes: object,
    ) -> Task:
        values: dict[str, object] = {
            "updates": 12,
            "batch_tokens": 300,
            "accumulate": 1,
            "warmup": 0,
            "dropout": 0.0,
            "precision": "float32",
        }
        tensors = {name: tensor.clone() for name, tensor in parent.tensors.items()}
        tensors |= initial_tensors(parent.architecture, tuple(added or ()), {"source": 1, "target": 1}, seed, added)
        return Task(
            model=Transformer.pointing_at(parent.architecture, tensors),
            trainable=trainable or parameter_names(parent.architecture),
            corpus=tokenize_files("es", "en"),
            source=parent.source_tokenizer,
            target=parent.target_tokenizer,
            settings=TrainingSettings.model_validate(values | changes),
            seed=seed,
        )

    return make
