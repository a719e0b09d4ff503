from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.side import LanguageSide
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import epoch_batches
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import TrainingError
from continual_mt.evaluation import metrics
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture, Group, group_of, parameter_names
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import PLAIN_SCOPES, Scope, trainable_names, trained_groups
from continual_mt.model.transformer import Transformer
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.pair_task import Task, encoder_frozen
from continual_mt.training.trainer import (
    ProgressReport,
    Trainer,
    computation_dtype,
    learning_rate_factor,
    trainable_copy,
)
from tests.continual_mt.training.runs import run

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeTask = Callable[..., Task]
CPU = torch.device("cpu")


def test_with_patience_0_all_updates_are_done(make_task: MakeTask) -> None:
    progress = run(make_task(updates=7, validate_every=2, patience=0), development=lambda model: 0.0)
    assert (progress.update, progress.validations_without_gain, progress.finished) == (7, 3, True)


@pytest.mark.parametrize(
    ("warmup", "updates", "factors"),
    [
        (4, 10, [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (0, 4, [1, 3 / 4, 2 / 4, 1 / 4]),
        (3, 3, [1 / 3, 2 / 3, 1]),
        (8, 4, [1 / 8, 2 / 8, 3 / 8, 4 / 8]),
        (0, 1, [1]),
    ],
)
def test_learning_rate(warmup: int, updates: int, factors: list[float]) -> None:
    found = [learning_rate_factor(update, warmup, updates) for update in range(1, updates + 1)]
    assert found == pytest.approx(factors)


def test_the_learning_rate_is_reported(make_task: MakeTask) -> None:
    reports: list[ProgressReport] = []
    task = make_task(updates=8, warmup=4, learning_rate=0.008, validate_every=2)
    run(task, report=reports.append)
    assert [report.learning_rate for report in reports] == pytest.approx([0.004, 0.008, 0.006, 0.002])
    assert [report.epoch for report in reports] == [0, 0, 0, 0]
    assert all(report.tokens_per_second > 0 for report in reports)


def test_each_group_has_its_learning_rate(make_task: MakeTask, parent: Parent) -> None:
    """Adam's first step is as large as the learning rate, unless the gradient is tiny."""
    rates: dict[Group, float] = {"source": 0.02, "cross_attention": 0.001, "target": 0.0005}
    task = make_task(updates=1, learning_rate=0.005, learning_rates=rates, clip=1e6)
    Trainer(task).update()
    for name, parameter in task.model.named_parameters():
        if not name.endswith("key.bias"):
            longest = float((parameter.detach() - parent.tensors[name]).abs().max())
            assert longest == pytest.approx(rates.get(group_of(name), 0.005), rel=0.01), name


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("scope", PLAIN_SCOPES)
def test_a_scope_trains_its_parameters_and_no_others(
    parent: Parent,
    tokenize_files: TokenizeFiles,
    django_tokenizers: dict[str, Tokenizer],
    scope: Scope,
    side: SideName,
) -> None:
    pair = Pair("pt", "en") if side == "source" else Pair("es", "de")
    tokenizers = django_tokenizers[pair.source], django_tokenizers[pair.target]
    names = trainable_names(parent.architecture, scope, side)
    sizes = {"source": tokenizers[0].size, "target": tokenizers[1].size}
    new_side = tuple(name for name in names if group_of(name) == side)
    fresh = initial_tensors(parent.architecture, new_side, sizes, seed=1)
    tensors = trainable_copy(dict(parent.tensors), names) | fresh
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    model = Transformer.pointing_at(parent.architecture, tensors)
    settings = TrainingSettings(updates=3, batch_tokens=300, accumulate=1, warmup=0, precision="float32")
    corpus = tokenize_files(pair.source, pair.target)
    run(Task(model, names, corpus, *tokenizers, settings, seed=1), development=lambda model: 0.0)
    for name, parameter in model.named_parameters():
        if name not in names:
            assert parameter.data_ptr() == parent.tensors[name].data_ptr()
            assert parameter.grad is None
        # A key bias does not change the softmax over keys, so that its gradient is rounding error.
        elif not name.endswith("key.bias"):
            assert not torch.equal(parameter, before[name]), name
    assert {group_of(name) for name in names} == set(trained_groups(scope, side))
    assert Parent.from_pieces(parent.pieces()).fingerprint == parent.fingerprint


def test_trainable_copy_copies_only_trained_tensors(parent: Parent) -> None:
    copied = trainable_copy(dict(parent.tensors), ["target.bias"])
    for name, tensor in parent.tensors.items():
        assert torch.equal(copied[name], tensor)
        assert (copied[name].data_ptr() == tensor.data_ptr()) == (name != "target.bias")


@pytest.mark.parametrize("side", ["source", "target"])
def test_cached_encoder_states_do_not_change_training(make_task: MakeTask, tmp_path: Path, side: SideName) -> None:
    """A frozen encoder has no dropout, so cached and computed states give the same loss."""
    names = trainable_names(make_task().model.architecture, "xattn", side)
    assert encoder_frozen(names) == (side == "target")
    tasks = [make_task(trainable=names, dropout=0.3) for _ in range(2)]
    tasks[1] = replace(tasks[1], encoded=encode_sources(tasks[1].model, tasks[1].corpus, tasks[1].source, tmp_path))
    trainers = [Trainer(task) for task in tasks]
    for _ in range(4):
        torch.manual_seed(9)
        first, _ = trainers[0].update()
        torch.manual_seed(9)
        second, _ = trainers[1].update()
        assert first == pytest.approx(second, rel=1e-5)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(make_task: MakeTask) -> None:
    small = make_task(batch_tokens=1000, learning_rate=0.01)
    batches = len(epoch_batches(small.corpus, 1000, small.seed, 0))
    assert batches > 3
    tasks = [make_task(batch_tokens=1000, accumulate=batches), make_task(batch_tokens=100_000)]
    losses = [Trainer(task).update() for task in tasks]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][1] == int(small.corpus.target_lengths.sum()) + len(small.corpus)
    for (name, first), second in zip(tasks[0].model.named_parameters(), tasks[1].model.parameters(), strict=True):
        if not name.endswith("key.bias"):
            torch.testing.assert_close(first, second, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_a_non_finite_gradient_raises_and_changes_no_parameter(make_task: MakeTask, value: float) -> None:
    task = make_task()
    with torch.no_grad():
        task.model.encoder[0].feed_forward.inner.weight[0, 0] = value
    before = {name: parameter.detach().clone() for name, parameter in task.model.named_parameters()}
    with pytest.raises(TrainingError, match=r"^update 1: the gradient is not finite. Fix: lower learning_rate or clip"):
        run(task)
    for name, parameter in task.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=0, equal_nan=True)


def test_a_checkpoint_of_other_parameters_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    run(make_task(("target.bias",), updates=1), tmp_path / "run")
    with pytest.raises(
        TrainingError,
        match=r"contains other parameters than this run trains. Fix: delete the checkpoints of this run",
    ):
        run(make_task(), tmp_path / "run")


def test_bfloat16_is_close_to_float32(make_task: MakeTask) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = Trainer(make_task(precision=precision, learning_rate=0.01))
        losses[precision] = [operator.truediv(*trainer.update()) for _ in range(12)]
        assert {parameter.dtype for parameter in trainer.trained.values()} == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_explicit_precision_is_used_on_every_processor(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    for features in ({"amx_bf16": True}, {}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        assert computation_dtype(CPU, precision) == getattr(torch, precision)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_precision_is_bfloat16_where_the_processor_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert computation_dtype(CPU, "auto") == expected
    assert computation_dtype(torch.device("mps"), "auto") == torch.float32


@pytest.mark.parametrize(("supported", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_on_a_gpu(monkeypatch: pytest.MonkeyPatch, supported: bool, expected: torch.dtype) -> None:
    """An older GPU emulates bfloat16, which is slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    assert computation_dtype(torch.device("cuda"), "auto") == expected


def test_a_small_model_memorises_a_small_corpus(django_catalogs: dict[str, list[str]], tmp_path: Path) -> None:
    """End to end: the loss falls and the trained model translates its training sentences."""
    sources, references = (django_catalogs[name][:60] for name in ("es", "en"))
    tokenizers = train_tokenizer(lambda: sources, 250), train_tokenizer(lambda: references, 250)
    for name, texts in (("es", sources), ("en", references)):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    files = TextFiles(Pair("es", "en"), tmp_path / "es", tmp_path / "en")
    architecture = Architecture(width=64, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=128)
    sizes = {"source": tokenizers[0].size, "target": tokenizers[1].size}
    names = parameter_names(architecture)
    model = Transformer.pointing_at(architecture, initial_tensors(architecture, names, sizes, seed=1))
    settings = TrainingSettings(
        updates=240,
        batch_tokens=1024,
        accumulate=1,
        warmup=20,
        learning_rate=0.005,
        dropout=0.0,
        validate_every=80,
        precision="float32",
    )
    corpus = tokenize_corpus(files, inspect(files).digest, *tokenizers, tmp_path)
    pair_model = PairModel(files.pair, model, LanguageSide("es", tokenizers[0]), LanguageSide("en", tokenizers[1]))
    reports: list[ProgressReport] = []
    progress = run(
        Task(model, names, corpus, *tokenizers, settings, seed=1),
        development=lambda _: metrics.bleu(pair_model.translate(sources, beam=1), references, "en"),
        report=reports.append,
    )
    assert progress.best_score is not None
    assert progress.best_score > 90
    losses = [report.loss for report in reports]
    assert losses[-1] < losses[0] / 2
