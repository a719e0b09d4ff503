from __future__ import annotations

import operator
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from continual_mt import scoring
from continual_mt.architecture import (
    SCOPES,
    Architecture,
    Group,
    Scope,
    group_of,
    parameter_names,
    trainable_names,
    trained_groups,
)
from continual_mt.batches import epoch_batches, make_batch
from continual_mt.checkpoint import Checkpoint, Progress
from continual_mt.corpora.corpus import inspect
from continual_mt.corpora.text import TextFiles
from continual_mt.errors import TrainingError
from continual_mt.languages import Pair, SideName
from continual_mt.pair_model import PairModel
from continual_mt.parent import Parent
from continual_mt.settings import TrainingSettings
from continual_mt.side import Side
from continual_mt.tokenizer import Tokenizer, train_tokenizer
from continual_mt.tokens import TokenizedCorpus, tokenize_corpus
from continual_mt.training import (
    Report,
    Task,
    Trainer,
    computation_dtype,
    learning_rate_factor,
    token_loss,
    train,
    trainable_copy,
)
from continual_mt.transformer import Transformer, initial_tensors

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeTask = Callable[..., Task]
CPU = torch.device("cpu")


class KilledError(Exception):
    """The end of a process, for what training can tell."""


@pytest.fixture
def make_task(parent: Parent, tokenize_files: TokenizeFiles) -> MakeTask:
    """Training all of the parent on Django's catalogs, from copies of its weights."""

    def make(trainable: tuple[str, ...] | None = None, seed: int = 3, **changes: object) -> Task:
        values: dict[str, object] = {
            "updates": 12,
            "batch_tokens": 300,
            "accumulate": 1,
            "warmup": 0,
            "dropout": 0.0,
            "precision": "float32",
        }
        tensors = {name: tensor.clone() for name, tensor in parent.tensors.items()}
        return Task(
            model=Transformer.pointing_at(parent.architecture, tensors),
            trainable=trainable or parameter_names(parent.architecture),
            corpus=tokenize_files("es", "en"),
            source=parent.source.tokenizer,
            target=parent.target.tokenizer,
            settings=TrainingSettings.model_validate(values | changes),
            seed=seed,
        )

    return make


def negative_loss(task: Task) -> Callable[[Transformer], float]:
    """A development score that costs little and moves with every parameter."""
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    batch = make_batch(task.corpus, indices, task.source, task.target)

    def score(model: Transformer) -> float:
        assert not model.training
        with torch.inference_mode():
            return -float(token_loss(model, batch, 0.0))

    return score


def run(
    task: Task,
    folder: Path | None = None,
    development: Callable[[Transformer], float] | None = None,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Report], None] = lambda report: None,
) -> Progress:
    """Train, from the checkpoint in ``folder`` when there is one, and leave checkpoints there."""

    def save(trainer: Trainer) -> None:
        if folder is not None:
            folder.mkdir(exist_ok=True)
            trainer.checkpoint().save(folder)

    return train(
        task,
        checkpoint=Checkpoint.load(folder) if folder is not None and folder.exists() else None,
        development=development or negative_loss(task),
        save=save,
        report=report,
        stop=stop,
    )


def at(update: int, raised: type[Exception] | None = None) -> Callable[[], bool]:
    """Asked after every update: says stop, or dies, when it is asked for the ``update``-th time."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked == update and raised is not None:
            raise raised
        return asked == update

    return stop


def assert_bit_equal(found: Path, expected: Path) -> None:
    ours, theirs = Checkpoint.load(found), Checkpoint.load(expected)
    assert ours.progress == theirs.progress
    for kind in ("trained", "best", "optimizer", "generators"):
        assert set(getattr(ours, kind)) == set(getattr(theirs, kind))
        for name, tensor in getattr(theirs, kind).items():
            assert torch.equal(getattr(ours, kind)[name], tensor), f"{kind} of {name}"


# Accumulation, dropout and several epochs of 13 batches; validations leave killed work of up to 6 updates behind them.
RESUMED = {"updates": 20, "accumulate": 2, "dropout": 0.2, "warmup": 5, "validate_every": 7, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def whole(
    parent: Parent, tokenize_files: TokenizeFiles, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[MakeTask, str], Path]:
    """An uninterrupted run, once for each precision."""
    done: dict[str, Path] = {}

    def once(make_task: MakeTask, precision: str) -> Path:
        if precision not in done:
            done[precision] = tmp_path_factory.mktemp("whole") / precision
            run(make_task(precision=precision, **RESUMED), done[precision])
        return done[precision]

    return once


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_goes_on_exactly(
    make_task: MakeTask, whole: Callable[[MakeTask, str], Path], tmp_path: Path, seed: int, precision: str
) -> None:
    """Killed up to three times at random updates, every other time told to stop instead, which leaves a checkpoint."""
    expected = whole(make_task, precision)
    chance = random.Random(seed)
    folder = tmp_path / "run"
    for attempt in range(3):
        torch.manual_seed(chance.randrange(2**31))
        torch.rand(chance.randrange(1, 100))
        interruption = at(chance.randint(1, 9), None if attempt % 2 else KilledError)
        try:
            run(make_task(precision=precision, **RESUMED), folder, stop=interruption)
        except KilledError:
            continue
    torch.manual_seed(chance.randrange(2**31))
    progress = run(make_task(precision=precision, **RESUMED), folder)
    assert progress.finished
    assert progress.update == 20
    assert progress.epoch >= 2
    assert_bit_equal(folder, expected)


def test_the_same_run_is_the_same_bits_and_another_seed_is_not(make_task: MakeTask, tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        run(make_task(seed=seed, updates=4, dropout=0.2), tmp_path / name)
    assert_bit_equal(tmp_path / "again", tmp_path / "first")
    first, other = (Checkpoint.load(tmp_path / name).trained for name in ("first", "other"))
    assert not torch.equal(first["source.embedding"], other["source.embedding"])


def test_random_numbers_drawn_by_a_validation_leave_no_trace(make_task: MakeTask, tmp_path: Path) -> None:
    settings = {"updates": 6, "dropout": 0.2, "validate_every": 2}
    task = make_task(**settings)
    run(task, tmp_path / "quiet", lambda model: 1.0)

    def noisy(model: Transformer) -> float:
        torch.rand(7)
        return 1.0

    run(make_task(**settings), tmp_path / "noisy", noisy)
    assert_bit_equal(tmp_path / "noisy", tmp_path / "quiet")


def test_a_finished_run_does_nothing_more(make_task: MakeTask, tmp_path: Path) -> None:
    run(make_task(updates=3), tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    progress = run(make_task(updates=3), tmp_path / "run", development=lambda model: 1 / 0)
    assert progress.finished
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_stop_leaves_a_checkpoint_of_that_update(make_task: MakeTask, tmp_path: Path) -> None:
    progress = run(make_task(), tmp_path / "run", stop=at(5))
    assert (progress.update, progress.finished) == (5, False)
    assert Checkpoint.load(tmp_path / "run").progress == progress


def test_patience(make_task: MakeTask, tmp_path: Path) -> None:
    """Scores that do not get better end the run; the best parameters are those of the best score."""
    scores = iter([1.0, 3.0, 3.0, 2.0, 9.0])
    task = make_task(updates=100, validate_every=2, patience=2)
    seen: list[Tensor] = []

    def development(model: Transformer) -> float:
        seen.append(model.target.embedding.detach().clone())
        return next(scores)

    reports: list[Report] = []
    progress = run(task, tmp_path / "run", development, report=reports.append)
    assert progress == Progress(
        update=8, epoch=0, consumed=8, best_score=3.0, best_update=4, validations_without_gain=2, finished=True
    )
    assert torch.equal(Checkpoint.load(tmp_path / "run").best["target.embedding"], seen[1])
    assert [(report.update, report.development, report.best) for report in reports] == [
        (2, 1.0, True),
        (4, 3.0, True),
        (6, 3.0, False),
        (8, 2.0, False),
    ]


def test_patience_and_the_best_parameters_survive_a_kill(make_task: MakeTask, tmp_path: Path) -> None:
    settings = {"updates": 100, "validate_every": 2, "patience": 3}
    with pytest.raises(KilledError):
        run(make_task(**settings), tmp_path / "run", lambda model: 1.0, stop=at(7, KilledError))
    best = Checkpoint.load(tmp_path / "run").best
    assert set(best) == set(parameter_names(make_task().model.architecture))
    progress = run(make_task(**settings), tmp_path / "run", lambda model: 1.0)
    assert (progress.update, progress.best_update) == (8, 2)
    kept = Checkpoint.load(tmp_path / "run").best
    assert set(kept) == set(best)
    assert all(torch.equal(kept[name], tensor) for name, tensor in best.items())


def test_without_patience_all_updates_are_done(make_task: MakeTask) -> None:
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
    reports: list[Report] = []
    task = make_task(updates=8, warmup=4, learning_rate=0.008, validate_every=2)
    run(task, report=reports.append)
    assert [report.learning_rate for report in reports] == pytest.approx([0.004, 0.008, 0.006, 0.002])
    assert [report.epoch for report in reports] == [0, 0, 0, 0]
    assert all(report.tokens_per_second > 0 for report in reports)


def test_each_group_has_its_learning_rate(make_task: MakeTask, parent: Parent) -> None:
    """Adam's first step is as long as the rate wherever the gradient is not tiny."""
    rates: dict[Group, float] = {"source": 0.02, "cross_attention": 0.001, "target": 0.0005}
    task = make_task(updates=1, learning_rate=0.005, learning_rates=rates, clip=1e6)
    Trainer(task).update()
    for name, parameter in task.model.named_parameters():
        if not name.endswith("key.bias"):
            longest = float((parameter.detach() - parent.tensors[name]).abs().max())
            assert longest == pytest.approx(rates.get(group_of(name), 0.005), rel=0.01), name


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_moves_its_parameters_and_no_others(
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
        # The softmax over keys takes no notice of their bias: its gradient is rounding.
        elif not name.endswith("key.bias"):
            assert not torch.equal(parameter, before[name]), name
    assert {group_of(name) for name in names} == set(trained_groups(scope, side))
    assert Parent.from_pieces(parent.pieces()).fingerprint == parent.fingerprint


def test_trainable_copy_copies_what_is_trained(parent: Parent) -> None:
    copied = trainable_copy(dict(parent.tensors), ["target.bias"])
    for name, tensor in parent.tensors.items():
        assert torch.equal(copied[name], tensor)
        assert (copied[name].data_ptr() == tensor.data_ptr()) == (name != "target.bias")


def test_loss_is_the_smoothed_cross_entropy_of_real_tokens(make_task: MakeTask) -> None:
    task = make_task()
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    batch = make_batch(task.corpus, indices, task.source, task.target)
    found = token_loss(task.model, batch, 0.1)
    expected = 0.0
    for index in indices:
        source, target = task.corpus.source(index).tolist(), task.corpus.target(index).tolist()
        logits = task.model(
            torch.tensor([[*source, task.source.end]]),
            torch.tensor([len(source) + 1]),
            torch.tensor([[task.target.start, *target]]),
        )
        log_probabilities = functional.log_softmax(logits[0], dim=-1)
        right = log_probabilities.gather(1, torch.tensor([*target, task.target.end])[:, None])
        expected -= float(0.9 * right.sum() + 0.1 * log_probabilities.mean(-1).sum())
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_an_update_does_not_depend_on_how_it_is_divided(make_task: MakeTask) -> None:
    """One batch of the whole corpus and many batches accumulated give one gradient."""
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
def test_a_gradient_that_is_not_finite_ends_training(make_task: MakeTask, value: float) -> None:
    task = make_task()
    with torch.no_grad():
        task.model.encoder[0].feed_forward.inner.weight[0, 0] = value
    before = {name: parameter.detach().clone() for name, parameter in task.model.named_parameters()}
    with pytest.raises(TrainingError, match="the gradient is not finite at update 1; lower learning_rate or clip"):
        run(task)
    for name, parameter in task.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=0, equal_nan=True)


def test_a_checkpoint_of_other_parameters_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    run(make_task(("target.bias",), updates=1), tmp_path / "run")
    with pytest.raises(TrainingError, match="holds other parameters than this run trains; train anew with --again"):
        run(make_task(), tmp_path / "run")


def test_bfloat16_is_close_to_float32(make_task: MakeTask) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = Trainer(make_task(precision=precision, learning_rate=0.01))
        losses[precision] = [operator.truediv(*trainer.update()) for _ in range(12)]
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


def test_precision() -> None:
    assert computation_dtype(CPU, "float32") == torch.float32
    assert computation_dtype(CPU, "bfloat16") == torch.bfloat16
    assert computation_dtype(CPU, "auto") in (torch.float32, torch.bfloat16)
    assert computation_dtype(torch.device("mps"), "auto") == torch.float32


def test_a_small_model_learns_a_small_corpus_by_heart(django_catalogs: dict[str, list[str]], tmp_path: Path) -> None:
    """Everything together: loss falls, and what was learned is translated."""
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
    pair_model = PairModel(files.pair, model, Side("es", tokenizers[0]), Side("en", tokenizers[1]))
    reports: list[Report] = []
    progress = run(
        Task(model, names, corpus, *tokenizers, settings, seed=1),
        development=lambda _: scoring.bleu(pair_model.translate(sources, beam=1), references, "en"),
        report=reports.append,
    )
    assert progress.best_score is not None
    assert progress.best_score > 90
    losses = [report.loss for report in reports]
    assert losses[-1] < losses[0] / 2
