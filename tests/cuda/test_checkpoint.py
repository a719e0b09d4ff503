"""A checkpoint written on the device is read on the CPU, where training continues unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from continual_mt.languages import SideName
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.trainer import Trainer
from tests.cuda.conftest import MakeTask

pytestmark = pytest.mark.cuda

BEFORE, AFTER = 6, 4


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 5e-2)])
def test_training_goes_on_on_the_cpu(
    make_task: MakeTask, device: torch.device, side: SideName, precision: str, tolerance: float, tmp_path: Path
) -> None:
    trainer = Trainer(make_task("xattn", side, device, precision=precision))
    for _ in range(BEFORE):
        trainer.update()
    trainer.checkpoint().save(tmp_path)
    written = {name: tensor.detach().cpu().clone() for name, tensor in trainer.trained.items()}
    expected = [trainer.update() for _ in range(AFTER)]

    resumed = Trainer(make_task("xattn", side, torch.device("cpu"), precision=precision), Checkpoint.load(tmp_path))
    assert resumed.progress.update == BEFORE
    assert all(torch.equal(resumed.trained[name], tensor) for name, tensor in written.items())
    found = [resumed.update() for _ in range(AFTER)]
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in expected], rel=tolerance)
