from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continual_mt.errors import CorruptionError, StorageError
from continual_mt.training.checkpoint import STATE_FILE, TENSOR_FILES, Checkpoint, Progress


def make_checkpoint() -> Checkpoint:
    return Checkpoint(
        Progress(update=7, epoch=1, consumed=3, best_score=0.1 + 0.2, best_update=5, validations_without_gain=1),
        trained={"target.bias": torch.tensor([1.0, -0.0]), "source.embedding": torch.randn(3, 2)},
        best={"target.bias": torch.tensor([0.5, 3e-45])},
        optimizer={"target.bias/first": torch.randn(2), "target.bias/second": torch.rand(2)},
        generators={"0": torch.get_rng_state()},
    )


def test_round_trip_is_bit_equal(tmp_path: Path) -> None:
    before = make_checkpoint()
    before.save(tmp_path)
    after = Checkpoint.load(tmp_path)
    assert after.progress == before.progress
    for kind in TENSOR_FILES:
        theirs, ours = getattr(before, kind), getattr(after, kind)
        assert set(ours) == set(theirs)
        assert all(ours[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in theirs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    progress=st.builds(
        Progress,
        update=st.integers(0),
        epoch=st.integers(0),
        consumed=st.integers(0),
        best_score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        best_update=st.integers(0),
        validations_without_gain=st.integers(0),
        finished=st.booleans(),
    )
)
def test_any_progress_makes_the_round_trip(tmp_path: Path, progress: Progress) -> None:
    Checkpoint(progress, {}).save(tmp_path)
    assert Checkpoint.load(tmp_path).progress == progress


def test_before_the_first_validation_there_is_no_best(tmp_path: Path) -> None:
    Checkpoint(Progress(), {"target.bias": torch.zeros(1)}).save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded.best == {}
    assert loaded.progress.best_score is None


@pytest.mark.parametrize("name", [STATE_FILE, *(f"{name}.safetensors" for name in TENSOR_FILES)])
def test_a_missing_or_damaged_file_is_corruption(tmp_path: Path, name: str) -> None:
    make_checkpoint().save(tmp_path)
    content = (tmp_path / name).read_bytes()
    for damaged in (b"", content[:-1], b"\xff" + content[1:]):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(CorruptionError, match="cannot be read") as raised:
            Checkpoint.load(tmp_path)
        assert str(raised.value).startswith(f"checkpoint {tmp_path}: cannot be read (")
        assert str(raised.value).startswith(f"checkpoint {tmp_path}: cannot be read (")
    (tmp_path / name).unlink()
    with pytest.raises(CorruptionError, match="cannot be read"):
        Checkpoint.load(tmp_path)


@pytest.mark.parametrize("state", [{"unknown": 1}, [1], "text", None])
def test_a_state_of_another_version_is_corruption(tmp_path: Path, state: object) -> None:
    make_checkpoint().save(tmp_path)
    (tmp_path / STATE_FILE).write_text(json.dumps(state))
    with pytest.raises(CorruptionError, match="cannot be read"):
        Checkpoint.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(StorageError, match=f"^checkpoint {folder}: cannot be written") as raised:
        make_checkpoint().save(folder)
    assert "start the same job again; it resumes from the previous checkpoint" in str(raised.value)
