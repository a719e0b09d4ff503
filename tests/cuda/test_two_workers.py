"""Two workers that share the device, and their gradients through Gloo, train as one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.training.checkpoint import Checkpoint
from tests.cuda.conftest import ARCHITECTURE, untrained
from tests.cuda.two_workers import UPDATES

pytestmark = pytest.mark.cuda

ROOT = Path(__file__).parents[2]
SECONDS = 500


def test_an_update_does_not_depend_on_the_number_of_workers(
    tokenizers: dict[str, Tokenizer], text: dict[str, list[str]], device: torch.device, tmp_path: Path
) -> None:
    (tmp_path / "parent").mkdir()
    start = untrained(ARCHITECTURE, tokenizers["fr"], tokenizers["en"])
    for name, content in start.pieces().items():
        (tmp_path / "parent" / name).write_bytes(content)
    for language in ("fr", "en"):
        (tmp_path / language).write_text("".join(f"{line}\n" for line in text[language]), encoding="utf-8")
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.cuda.two_workers"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path), str(device)],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS)[0].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    alone, first, second = (Checkpoint.load(tmp_path / name) for name in ("alone", "together0", "together1"))
    assert alone.progress.update == first.progress.update == UPDATES
    assert set(first.generators) == {"0", "1"}, "the states of both workers are gathered"
    for name, tensor in alone.trained.items():
        assert torch.equal(first.trained[name], second.trained[name]), name
        if name.endswith(".key.bias"):  # the softmax takes no notice of it: its gradient is rounding
            continue
        torch.testing.assert_close(first.trained[name], tensor, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(tensor, start.tensors[name], rtol=0, atol=1e-3), f"{name} did not move"
