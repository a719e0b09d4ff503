"""Training on the device: every scope learns in either precision, frozen weights stay, and float32 is the CPU's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from continual_mt.data.batching import make_batch
from continual_mt.languages import SideName
from continual_mt.model.scopes import PLAIN_SCOPES, Scope
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.pair_loss import token_loss
from continual_mt.training.trainer import Task
from tests.cuda.conftest import MakeTask, losses

pytestmark = pytest.mark.cuda

SIDES: tuple[SideName, ...] = ("source", "target")
UPDATES = 24
SOME = 100
# Sums in another order differ by some 1e-6 of their value; wrong gradients move the second update's loss by far more.
FIRST, SECOND = 1e-5, 1e-4

every_scope = pytest.mark.parametrize("scope", PLAIN_SCOPES)
either_side = pytest.mark.parametrize("side", SIDES)


@torch.no_grad()
def loss_of_some(task: Task) -> float:
    """Mean loss, in nats, of a target token of the first sentences: always the same ones, so that it has no noise."""
    batch = make_batch(task.corpus, np.arange(SOME), task.source, task.target).to(task.model.device)
    return float(token_loss(task.model, batch, 0.0)) / int(task.corpus.target_lengths[:SOME].sum() + SOME)


@every_scope
@either_side
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls(
    make_task: MakeTask, device: torch.device, scope: Scope, side: SideName, precision: str
) -> None:
    task = make_task(scope, side, device, precision=precision)
    before = loss_of_some(task)
    losses(task, UPDATES)
    assert loss_of_some(task) < 0.9 * before


@every_scope
@either_side
def test_the_first_updates_are_those_of_the_cpu(
    make_task: MakeTask, device: torch.device, scope: Scope, side: SideName
) -> None:
    found = losses(make_task(scope, side, device), 2)
    expected = losses(make_task(scope, side, torch.device("cpu")), 2)
    assert found[0] == pytest.approx(expected[0], rel=FIRST)
    assert found[1] == pytest.approx(expected[1], rel=SECOND)


@every_scope
@either_side
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_frozen_stays_bit_equal(
    make_task: MakeTask, device: torch.device, scope: Scope, side: SideName, precision: str
) -> None:
    task = make_task(scope, side, device, precision=precision)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    losses(task, 5)
    changed = {name for name, tensor in task.model.state_dict().items() if not torch.equal(tensor, before[name])}
    # The softmax takes no notice of a key's bias, whose gradient is rounding.
    biases = {name for name in task.trainable if name.endswith(".key.bias")}
    assert changed - biases == set(task.trainable) - biases


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kept_states_of_a_frozen_encoder_change_nothing(
    make_task: MakeTask, device: torch.device, precision: str, tmp_path: Path
) -> None:
    task = make_task("xattn", "target", device, precision=precision)
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    encoded = encode_sources(task.model.computing_in(dtype), task.corpus, task.source, tmp_path)
    expected = losses(make_task("xattn", "target", device, precision=precision), 3)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert losses(replace(task, encoded=encoded), 3) == pytest.approx(expected, rel=tolerance)
