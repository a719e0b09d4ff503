from __future__ import annotations

import json
import re
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
        best={"target.bias": torch.tensor([0.5, 3e-45]), "source.embedding": torch.randn(3, 2)},
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
    Checkpoint(progress, {}, generators={"0": torch.get_rng_state()}).save(tmp_path)
    assert Checkpoint.load(tmp_path).progress == progress


def test_before_the_first_validation_there_is_no_best(tmp_path: Path) -> None:
    Checkpoint(Progress(), {"target.bias": torch.zeros(1)}, generators={"0": torch.get_rng_state()}).save(tmp_path)
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
    (tmp_path / name).unlink()
    with pytest.raises(CorruptionError, match="cannot be read"):
        Checkpoint.load(tmp_path)


def assert_cannot_be_read(folder: Path, reason: str) -> None:
    with pytest.raises(CorruptionError, match=f"^{re.escape(f'checkpoint {folder}: cannot be read ({reason})')}$"):
        Checkpoint.load(folder)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"update": 7, "format": 2}, "unknown key 'format': written by a newer version?"),
        ([1], "state.json holds [1]; expected an object"),
        ("text", 'state.json holds "text"; expected an object'),
        (None, "state.json holds null; expected an object"),
        ({"epoch": "x"}, 'epoch is "x"; expected a whole number from 0'),
        ({"update": float("inf")}, "update is Infinity; expected a whole number from 0"),
        ({"update": 7.0}, "update is 7.0; expected a whole number from 0"),
        ({"consumed": -1}, "consumed is -1; expected a whole number from 0"),
        ({"best_update": None}, "best_update is null; expected a whole number from 0"),
        ({"validations_without_gain": True}, "validations_without_gain is true; expected a whole number from 0"),
        ({"best_score": float("nan")}, "best_score is NaN; expected a finite number or null"),
        ({"best_score": "1"}, 'best_score is "1"; expected a finite number or null'),
        ({"finished": 1}, "finished is 1; expected true or false"),
    ],
)
def test_a_damaged_state_or_one_of_another_version_is_corruption(tmp_path: Path, state: object, reason: str) -> None:
    make_checkpoint().save(tmp_path)
    (tmp_path / STATE_FILE).write_text(json.dumps(state))
    assert_cannot_be_read(tmp_path, reason)


BIAS, EMBEDDING = torch.zeros(2), torch.zeros(3, 2)
FIRST, SECOND = {"target.bias/first": BIAS}, {"target.bias/second": BIAS}
STATE = torch.get_rng_state()


@pytest.mark.parametrize(
    ("kind", "tensors", "reason"),
    [
        ("best", {"target.bias": BIAS}, "best: 'source.embedding' is missing"),
        ("best", {}, "best: 'source.embedding' is missing"),
        (
            "best",
            {"target.bias": BIAS, "source.embedding": EMBEDDING, "other": BIAS},
            "best: 'other' belongs to no trained tensor",
        ),
        (
            "best",
            {"target.bias": torch.zeros(1), "source.embedding": EMBEDDING},
            "best: 'target.bias' has shape [1]; expected [2]",
        ),
        ("optimizer", FIRST, "optimizer: 'target.bias/second' is missing"),
        ("optimizer", SECOND, "optimizer: 'target.bias/first' is missing"),
        ("optimizer", {"target.bias": BIAS}, "optimizer: 'target.bias' belongs to no trained tensor"),
        (
            "optimizer",
            FIRST | SECOND | {"target.bias/third": BIAS},
            "optimizer: 'target.bias/third' belongs to no trained tensor",
        ),
        ("optimizer", {"other/first": BIAS}, "optimizer: 'other/first' belongs to no trained tensor"),
        (
            "optimizer",
            FIRST | {"target.bias/second": torch.zeros(1)},
            "optimizer: 'target.bias/second' has shape [1]; expected [2]",
        ),
        ("generators", {}, "generators: the workers are []; expected ['0']"),
        ("generators", {"0": STATE, "2": STATE}, "generators: the workers are ['0', '2']; expected ['0', '1']"),
        ("generators", {"0": STATE[:-1]}, "generators: '0' is not the state of a generator"),
        ("generators", {"0": torch.tensor(1)}, "generators: '0' is not the state of a generator"),
        ("generators", {"0": STATE, "1": STATE.float()}, "generators: '1' is not the state of a generator"),
    ],
)
def test_tensors_that_do_not_belong_together_are_corruption(
    tmp_path: Path, kind: str, tensors: dict[str, torch.Tensor], reason: str
) -> None:
    checkpoint = make_checkpoint()
    setattr(checkpoint, kind, {name: tensor.clone() for name, tensor in tensors.items()})
    checkpoint.save(tmp_path)
    assert_cannot_be_read(tmp_path, reason)


def test_a_finished_run_has_all_its_best_tensors(tmp_path: Path) -> None:
    Checkpoint(Progress(finished=True), {"target.bias": BIAS}, generators={"0": STATE}).save(tmp_path)
    assert_cannot_be_read(tmp_path, "best: 'target.bias' is missing")


def test_the_state_of_a_gpu_follows_that_of_the_cpu(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.generators = {"0": torch.cat([STATE, torch.zeros(16, dtype=torch.uint8)])}
    checkpoint.save(tmp_path)
    assert len(Checkpoint.load(tmp_path).generators["0"]) == len(STATE) + 16


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(StorageError, match=f"^checkpoint {folder}: cannot be written") as raised:
        make_checkpoint().save(folder)
    assert "start the same job again; it resumes from the previous checkpoint" in str(raised.value)
