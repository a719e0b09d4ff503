from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from continual_mt.artifacts.parent import Parent
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.errors import TrainingError
from continual_mt.model.architecture import parameter_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint, Progress
from continual_mt.training.pair_task import Task
from continual_mt.training.trainer import ProgressReport, Trainer
from tests.continual_mt.training.runs import KilledError, assert_bit_equal, run, stop_at

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeTask = Callable[..., Task]


# Accumulation, dropout and several epochs of 13 batches. A kill loses up to 6 updates since the last validation.
RESUMED = {"updates": 20, "accumulate": 2, "dropout": 0.2, "warmup": 5, "validate_every": 7, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def uninterrupted(
    parent: Parent, tokenize_files: TokenizeFiles, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[MakeTask, str], Path]:
    """The folder of an uninterrupted run, trained once per precision."""
    done: dict[str, Path] = {}

    def once(make_task: MakeTask, precision: str) -> Path:
        if precision not in done:
            done[precision] = tmp_path_factory.mktemp("whole") / precision
            run(make_task(precision=precision, **RESUMED), done[precision])
        return done[precision]

    return once


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_resumes_bit_for_bit(
    make_task: MakeTask, uninterrupted: Callable[[MakeTask, str], Path], tmp_path: Path, seed: int, precision: str
) -> None:
    """Interrupted three times at random updates: killed, stopped (which saves a checkpoint), killed."""
    expected = uninterrupted(make_task, precision)
    chance = random.Random(seed)
    folder = tmp_path / "run"
    for attempt in range(3):
        torch.manual_seed(chance.randrange(2**31))
        torch.rand(chance.randrange(1, 100))
        interruption = stop_at(chance.randint(1, 9), None if attempt % 2 else KilledError)
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


def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(make_task: MakeTask, tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        run(make_task(seed=seed, updates=4, dropout=0.2), tmp_path / name)
    assert_bit_equal(tmp_path / "again", tmp_path / "first")
    first, other = (Checkpoint.load(tmp_path / name).trained for name in ("first", "other"))
    assert not torch.equal(first["source.embedding"], other["source.embedding"])


def test_validation_does_not_change_the_random_numbers_of_training(make_task: MakeTask, tmp_path: Path) -> None:
    settings = {"updates": 6, "dropout": 0.2, "validate_every": 2}
    task = make_task(**settings)
    run(task, tmp_path / "quiet", lambda model: 1.0)

    def noisy(model: Transformer) -> float:
        torch.rand(7)
        return 1.0

    run(make_task(**settings), tmp_path / "noisy", noisy)
    assert_bit_equal(tmp_path / "noisy", tmp_path / "quiet")


def test_a_finished_run_is_not_trained_further(make_task: MakeTask, tmp_path: Path) -> None:
    run(make_task(updates=3), tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    progress = run(make_task(updates=3), tmp_path / "run", development=lambda model: 1 / 0)
    assert progress.finished
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_stop_saves_a_checkpoint_of_that_update(make_task: MakeTask, tmp_path: Path) -> None:
    progress = run(make_task(), tmp_path / "run", stop=stop_at(5))
    assert (progress.update, progress.finished) == (5, False)
    assert Checkpoint.load(tmp_path / "run").progress == progress


def test_patience(make_task: MakeTask, tmp_path: Path) -> None:
    """The run ends after ``patience`` validations without a better score and keeps the best parameters."""
    scores = iter([1.0, 3.0, 3.0, 2.0, 9.0])
    task = make_task(updates=100, validate_every=2, patience=2)
    seen: list[Tensor] = []

    def development(model: Transformer) -> float:
        seen.append(model.target.embedding.detach().clone())
        return next(scores)

    reports: list[ProgressReport] = []
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
        run(make_task(**settings), tmp_path / "run", lambda model: 1.0, stop=stop_at(7, KilledError))
    best = Checkpoint.load(tmp_path / "run").best
    assert set(best) == set(parameter_names(make_task().model.architecture))
    progress = run(make_task(**settings), tmp_path / "run", lambda model: 1.0)
    assert (progress.update, progress.best_update) == (8, 2)
    kept = Checkpoint.load(tmp_path / "run").best
    assert set(kept) == set(best)
    assert all(torch.equal(kept[name], tensor) for name, tensor in best.items())


def test_a_parameter_without_a_gradient_has_no_moments(make_task: MakeTask, tmp_path: Path) -> None:
    trainer = Trainer(make_task())
    trainer.update()
    del trainer.optimizer.state[trainer.trained["target.bias"]]
    before = trainer.checkpoint()
    before.save(tmp_path)
    after = Trainer(make_task(), Checkpoint.load(tmp_path)).checkpoint()
    assert "target.bias/first" not in after.optimizer
    assert set(after.optimizer) == set(before.optimizer)
    assert all(torch.equal(after.optimizer[name], tensor) for name, tensor in before.optimizer.items())


def test_a_tensor_of_another_shape_is_refused(make_task: MakeTask) -> None:
    """It would be broadcast otherwise."""
    checkpoint = Trainer(make_task()).checkpoint()
    size = len(checkpoint.trained["target.bias"])
    checkpoint.trained = {**checkpoint.trained, "target.bias": torch.zeros(1)}
    message = (
        rf"^checkpoint: target.bias has shape \[1\], but \[{size}\] in this run. "
        "Fix: delete the checkpoints of this run, which then starts from update 0$"
    )
    with pytest.raises(TrainingError, match=message):
        Trainer(make_task(), checkpoint)
