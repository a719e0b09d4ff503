"""A training that was killed on the device continues there from its checkpoint, and ends bit-equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from continual_mt.data.batching import make_batch
from continual_mt.languages import SideName
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.pair_loss import token_loss
from continual_mt.training.pair_task import Task
from continual_mt.training.trainer import train
from tests.continual_mt.training.runs import KilledError, assert_bit_equal, stop_at
from tests.cuda.conftest import PAIRS, MakeTask

pytestmark = pytest.mark.cuda

UPDATES, VALIDATE_EVERY, KILLED_AT = 12, 4, 10
SOME = 40


def run(task: Task, folder: Path, killed_at: int | None = None) -> None:
    """Train, from the checkpoint in ``folder`` if there is one; raise KilledError at update ``killed_at``."""

    def development(model: Transformer) -> float:
        batch = make_batch(task.corpus, np.arange(SOME), task.source, task.target).to(model.device)
        with torch.inference_mode():
            return -float(token_loss(model, batch, 0.0))

    folder.mkdir(exist_ok=True)
    train(
        task,
        checkpoint=Checkpoint.load(folder) if (folder / "state.json").exists() else None,
        development=development,
        save=lambda trainer: trainer.checkpoint().save(folder),
        report=lambda report: None,
        stop=(lambda: False) if killed_at is None else stop_at(killed_at, KilledError),
    )


@pytest.mark.parametrize("side", PAIRS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_training_ends_as_one_that_was_not(
    make_task: MakeTask, device: torch.device, side: SideName, precision: str, tmp_path: Path
) -> None:
    """With dropout, whose random numbers on the device are part of the checkpoint."""
    chosen = {"updates": UPDATES, "validate_every": VALIDATE_EVERY, "dropout": 0.2, "precision": precision}
    run(make_task("half", side, device, **chosen), tmp_path / "whole")
    with pytest.raises(KilledError):
        run(make_task("half", side, device, **chosen), tmp_path / "killed", KILLED_AT)
    assert Checkpoint.load(tmp_path / "killed").progress.update == KILLED_AT - KILLED_AT % VALIDATE_EVERY
    torch.manual_seed(99)  # another process starts with another state
    torch.rand(3, device=device)
    run(make_task("half", side, device, **chosen), tmp_path / "killed")
    assert_bit_equal(tmp_path / "killed", tmp_path / "whole")
