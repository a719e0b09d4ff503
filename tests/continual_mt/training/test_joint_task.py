"""Training several pairs at once, each language with its own side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import make_batch
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.languages import Pair
from continual_mt.model.joint_model import JointModel
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.joint_task import JointBatches, JointPair, JointTask
from continual_mt.training.pair_loss import token_loss
from continual_mt.training.trainer import Trainer, train
from tests.continual_mt.training.runs import KilledError, assert_bit_equal, stop_at

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeJoint = Callable[..., JointTask]
PAIRS = Pair("es", "en"), Pair("en", "pt")


@pytest.fixture
def make_joint(own: Parent, tokenize_files: TokenizeFiles) -> MakeJoint:
    """Training es-en and en-pt, of which es-en is drawn three times as often as it has sentences."""

    def make(**changes: object) -> JointTask:
        usual: dict[str, object] = {"batch_tokens": 300, "accumulate": 2, "warmup": 0, "validate_every": 2}
        settings = TrainingSettings.model_validate(usual | {"updates": 6, "precision": "float32"} | changes)
        tensors = {name: tensor.clone() for name, tensor in own.tensors.items()}
        model = JointModel(own.architecture, tensors, PAIRS)
        pairs = []
        for pair, drawn in zip(PAIRS, (3, 1), strict=True):
            source, target = (side.tokenizer for side in own.sides(pair))
            pairs.append(JointPair(pair, tokenize_files(pair.source, pair.target), source, target, 1, drawn))
        names = tuple(name for name, _ in model.named_parameters())
        return JointTask(model, names, tuple(pairs), settings, seed=3)

    return make


def run(task: JointTask, folder: Path, stop: Callable[[], bool] = lambda: False) -> None:
    """Train, resuming from the checkpoint in ``folder`` if there is one."""
    pair = task.pairs[1]

    def development(model: JointModel) -> float:
        batch = make_batch(pair.corpus, torch.arange(5).numpy(), pair.source, pair.target)
        with torch.inference_mode():
            return -float(token_loss(model.of(pair.pair), batch, 0.0))

    def save(trainer: Trainer) -> None:
        folder.mkdir(exist_ok=True)
        trainer.checkpoint().save(folder)

    checkpoint = Checkpoint.load(folder) if folder.exists() else None
    train(task, checkpoint=checkpoint, development=development, save=save, report=lambda report: None, stop=stop)


def test_an_epoch_has_each_pair_as_often_as_it_is_drawn(make_joint: MakeJoint) -> None:
    task = make_joint(accumulate=1)
    batches, counts = JointBatches(task, task.model, 0, 0), Counter[tuple[int, int]]()
    order = []
    while batches.epoch == 0:
        ((loss, indices),) = next(batches)
        number = next(i for i, one in enumerate(task.pairs) if one.corpus is loss.corpus)
        if batches.epoch == 0:
            order.append(number)
            counts.update((number, index) for index in indices.tolist())
    for number, one in enumerate(task.pairs):
        assert {counts[number, index] for index in range(len(one.corpus))} == {one.drawn}
    assert sorted(order) != order  # the pairs are mixed


def test_batches_depend_only_on_seed_and_epoch(make_joint: MakeJoint) -> None:
    task = make_joint()
    first = JointBatches(task, task.model, 0, 0)
    for _ in range(5):
        next(first)
    second = JointBatches(task, task.model, first.epoch, first.consumed)
    for _ in range(4):
        one, other = next(first), next(second)
        assert [indices.tolist() for _, indices in one] == [indices.tolist() for _, indices in other]
    different = JointBatches(make_joint(), task.model, 1, 0)
    assert [list(i) for _, i in next(different)] != [list(i) for _, i in next(JointBatches(task, task.model, 0, 0))]


def test_the_loss_is_over_the_types_of_one_language(make_joint: MakeJoint, own: Parent) -> None:
    task = make_joint()
    for loss, indices in next(JointBatches(task, task.model, 0, 0)):
        pair = next(one.pair for one in task.pairs if one.corpus is loss.corpus)
        alone = Transformer.pointing_at(own.architecture, dict(own.tensors_of(pair)))
        batch = make_batch(loss.corpus, indices, loss.source, loss.target)
        assert batch.labels.max() < own.tokenizer("target", pair.target).size == len(alone.target.bias)
        assert loss.loss(indices, 0.1).item() == token_loss(alone, batch, 0.1).item()


def test_a_batch_of_a_pair_moves_its_sides_and_the_body(make_joint: MakeJoint) -> None:
    task = make_joint(accumulate=1, dropout=0.0)
    before = {name: parameter.detach().clone() for name, parameter in task.model.named_parameters()}
    trainer = Trainer(task)
    ((loss, _),) = next(JointBatches(task, task.model, 0, 0))
    trainer.update()
    moved = {name for name, parameter in trainer.trained.items() if not torch.equal(parameter, before[name])}
    pair = next(one.pair for one in task.pairs if one.corpus is loss.corpus)
    sides = {name for name in moved if name.startswith(("source", "target"))}
    assert {".".join(name.split(".")[:2]) for name in sides} == {f"source.{pair.source}", f"target.{pair.target}"}
    assert any(name.startswith("encoder") for name in moved)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_training_goes_on_bit_for_bit(make_joint: MakeJoint, tmp_path: Path, precision: str) -> None:
    """Also the moments of a side that had no sentence in some updates."""

    def make() -> JointTask:
        return make_joint(accumulate=1, dropout=0.2, precision=precision)

    run(make(), tmp_path / "whole")
    with pytest.raises(KilledError):
        run(make(), tmp_path / "killed", stop_at(3, KilledError))
    torch.manual_seed(99)
    run(make(), tmp_path / "killed")
    assert_bit_equal(tmp_path / "killed", tmp_path / "whole")
