"""Training with two worker processes, compared with one process and with a killed and resumed run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.errors import TrainingError
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.distributed import Workers
from continual_mt.training.trainer import Task, Trainer

TokenizeFiles = Callable[[str, str], TokenizedCorpus]


@pytest.fixture(scope="module")
def trained(parent: Parent, django_text_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the checkpoints of all runs in ``two_workers.py``."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "parent").mkdir()
    for name, content in parent.pieces().items():
        (folder / "parent" / name).write_bytes(content)
    for name, language in (("source", "es"), ("target", "en")):
        (folder / f"{name}.txt").write_bytes(django_text_files[language].read_bytes())
    script = Path(__file__).with_name("two_workers.py")
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), folder],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=500)[0].decode() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return folder


@pytest.mark.parametrize("kind", ["", "replayed-", "low-rank-", "joint-"])
def test_an_update_does_not_depend_on_the_number_of_workers(trained: Path, parent: Parent, kind: str) -> None:
    alone, together = (Checkpoint.load(trained / f"{kind}{name}") for name in ("alone", "together"))
    assert alone.progress.update == together.progress.update == 12
    for name, tensor in alone.trained.items():
        torch.testing.assert_close(together.trained[name], tensor, atol=1e-5, rtol=1e-4)
        before = parent.tensors.get(name, torch.zeros(1))
        assert name.endswith("key.bias") or not torch.allclose(tensor, before, atol=1e-3)
    assert alone.progress.best_score == pytest.approx(together.progress.best_score, rel=1e-4)


def test_killed_workers_resume_bit_for_bit(trained: Path) -> None:
    whole, resumed = Checkpoint.load(trained / "whole"), Checkpoint.load(trained / "killed")
    assert resumed.progress == whole.progress
    assert set(resumed.generators) == {"0", "1"}
    assert not torch.equal(resumed.generators["0"], resumed.generators["1"])
    for kind in ("trained", "best", "optimizer", "generators"):
        ours, theirs = getattr(resumed, kind), getattr(whole, kind)
        assert set(ours) == set(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_workers_draw_different_dropout(trained: Path) -> None:
    assert (trained / "seed.0").read_text() != (trained / "seed.1").read_text()


def test_invalid_settings_are_refused_by_every_worker(trained: Path) -> None:
    for rank in range(2):
        message = (trained / f"accumulate.{rank}.error").read_text()
        assert message == (
            "training.accumulate: is 3; expected a multiple of the number of workers, 2. "
            "Fix: change accumulate, or the number of workers"
        )
        assert (
            "checkpoint: was written with 1 workers, but this run has 2. Fix: resume with the same number"
            in (trained / f"resume.{rank}.error").read_text()
        )


def test_a_checkpoint_of_two_workers_is_refused_by_one(
    trained: Path, model: Transformer, parent: Parent, tokenize_files: TokenizeFiles
) -> None:
    tokenizers = parent.source_tokenizer, parent.target_tokenizer
    task = Task(model, tuple(parent.tensors), tokenize_files("es", "en"), *tokenizers, TrainingSettings(), 3)
    with pytest.raises(
        TrainingError, match=r"checkpoint: was written with 2 workers, but this run has 1. Fix: resume with the same"
    ):
        Trainer(task, Checkpoint.load(trained / "whole"))


def test_a_single_worker_needs_no_process_group() -> None:
    workers = Workers()
    device = torch.device("cpu")
    assert (workers.rank, workers.size) == (0, 1)
    assert workers.sum(2.5, device) == 2.5
    state = torch.arange(3)
    assert [member.tolist() for member in workers.all_gather(state, device)] == [[0, 1, 2]]
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    workers.sum_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]
