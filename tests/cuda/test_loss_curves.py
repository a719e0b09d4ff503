"""Every scope and side learns on the device as on the CPU, in either precision, with replay and from kept states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import group_of
from continual_mt.model.scopes import PLAIN_SCOPES, Scope
from continual_mt.training.pair_task import Task
from continual_mt.training.replay import EarlierPair, Replay
from tests.cuda.conftest import PAIRS, MakeTask, losses

pytestmark = pytest.mark.cuda

CPU = torch.device("cpu")
UPDATES = 12
# Rounding grows with every update; wrong gradients move losses by percents. bfloat16 keeps 8 bits, some 0.4 %.
CURVE = {"float32": 1e-3, "bfloat16": 3e-2}

either_precision = pytest.mark.parametrize("precision", CURVE)


@pytest.mark.parametrize("scope", PLAIN_SCOPES)
@pytest.mark.parametrize("side", PAIRS)
@either_precision
def test_the_losses_are_those_of_the_cpu_in_float32(
    make_task: MakeTask, device: torch.device, scope: Scope, side: SideName, precision: str
) -> None:
    found = losses(make_task(scope, side, device, precision=precision), UPDATES)
    assert found[-1] < found[0]
    assert found == pytest.approx(losses(make_task(scope, side, CPU), UPDATES), rel=CURVE[precision])


@pytest.fixture
def replaying(parent: Parent, corpora: Callable[[str], TokenizedCorpus]) -> Callable[[Task], Task]:
    """The task with a third of its batches from the parent's own pair."""
    source, target = (side.tokenizer for side in parent.sides(Pair("fr", "en")))

    def make(task: Task) -> Task:
        where = task.model.device
        ends = {name: tensor for name, tensor in parent.tensors.items() if group_of(name) in ("source", "target")}
        sides = {name: tensor.to(where) for name, tensor in ends.items()}
        return replace(task, replay=Replay(1 / 3, (EarlierPair(corpora("fr-en"), source, target, sides),)))

    return make


@pytest.mark.parametrize("side", PAIRS)
@either_precision
def test_with_replay_too(
    make_task: MakeTask, replaying: Callable[[Task], Task], device: torch.device, side: SideName, precision: str
) -> None:
    chosen = {"accumulate": 2}
    found = losses(replaying(make_task("xattn", side, device, precision=precision, **chosen)), UPDATES)
    expected = losses(replaying(make_task("xattn", side, CPU, **chosen)), UPDATES)
    assert found == pytest.approx(expected, rel=CURVE[precision])
    without = losses(make_task("xattn", side, device, precision=precision, **chosen), UPDATES)
    assert found != pytest.approx(without, rel=CURVE[precision])
