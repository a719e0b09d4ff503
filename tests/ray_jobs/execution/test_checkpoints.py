"""Checkpoints of a run, in a folder and behind a URL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from continual_mt.errors import StoppedError, StorageError
from continual_mt.training.checkpoint import STATE_FILE, Checkpoint, Progress
from ray_jobs.execution.checkpoints import RunCheckpoints


def checkpoint(update: int, finished: bool = False) -> Checkpoint:
    tensor = torch.full((2,), float(update))
    generators = {"0": torch.get_rng_state()}
    return Checkpoint(Progress(update=update, finished=finished), {"a": tensor}, {"a": tensor}, {}, generators)


@pytest.fixture(params=["folder", "file URL"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunCheckpoints:
    return RunCheckpoints(str(tmp_path) if request.param == "folder" else tmp_path.as_uri(), "run")


def updates(folder: Path) -> list[int]:
    return sorted(Checkpoint.load(path).progress.update for path in (folder / "run").glob("checkpoint_*"))


def test_there_is_none_at_first(run: RunCheckpoints) -> None:
    assert run.newest() is None
    with pytest.raises(StoppedError, match="stopped before the first update; start the same job again"):
        run.finished()


def test_two_are_kept_and_the_newest_is_read(run: RunCheckpoints, tmp_path: Path) -> None:
    for update in (4, 8, 12):
        run.save(checkpoint(update))
    assert updates(tmp_path) == [8, 12]
    found = run.newest()
    assert found is not None
    assert found.progress.update == 12
    assert torch.equal(found.best["a"], torch.full((2,), 12.0))
    assert not [path for path in (tmp_path / "run").iterdir() if not path.name.startswith("checkpoint_")]


def test_those_of_ray_train_are_read_and_never_removed(run: RunCheckpoints, tmp_path: Path) -> None:
    """Ray Train refuses to resume a run without one that it wrote."""
    for update in (4, 8, 12):
        folder = tmp_path / "run" / f"checkpoint_2026-01-02_03-04-{update:02}.123456"
        folder.mkdir(parents=True)
        checkpoint(update).save(folder)
    found = run.newest()
    assert found is not None
    assert found.progress.update == 12
    for update in (16, 20, 24):
        run.save(checkpoint(update))
    assert updates(tmp_path) == [4, 8, 12, 20, 24]


@pytest.mark.parametrize("damage", ["no state file", "half a state file", "no tensors"])
def test_an_incomplete_one_is_skipped(run: RunCheckpoints, tmp_path: Path, damage: str) -> None:
    run.save(checkpoint(4))
    run.save(checkpoint(8))
    newest = max((tmp_path / "run").iterdir())
    if damage == "no state file":
        (newest / STATE_FILE).unlink()
    elif damage == "half a state file":
        (newest / STATE_FILE).write_text('{"update": 8')
    else:
        (newest / "best.safetensors").unlink()
    messages: list[str] = []
    found = run.newest(messages.append)
    assert found is not None
    assert found.progress.update == 4
    assert len(messages) == (damage == "no tensors")
    assert all(text.endswith("; using the checkpoint before it") for text in messages)


def damage(folder: Path, changes: dict[str, object]) -> None:
    state = json.loads((folder / STATE_FILE).read_text())
    (folder / STATE_FILE).write_text(json.dumps(state | changes))


def test_the_one_before_two_damaged_ones_is_used(run: RunCheckpoints, tmp_path: Path) -> None:
    run.save(checkpoint(4))
    good = max((tmp_path / "run").iterdir())
    for update, changes in ((8, {"epoch": "x"}), (12, {"consumed": -1})):
        folder = tmp_path / "run" / f"checkpoint_2026-01-02_03-04-{update:02}.123456"
        folder.mkdir()
        checkpoint(update).save(folder)
        damage(folder, changes)
    messages: list[str] = []
    found = run.newest(messages.append)
    assert found is not None
    assert found.progress.update == 4
    start = f"checkpoint {tmp_path}/run/checkpoint_2026-01-02_03-04-"
    problems = (
        f"{start}12.123456: cannot be read (consumed is -1; expected a whole number from 0)",
        f'{start}08.123456: cannot be read (epoch is "x"; expected a whole number from 0)',
    )
    assert messages == [f"{problem}; using the checkpoint before it" for problem in problems]

    damage(good, {"format": 2})
    messages.clear()
    assert run.newest(messages.append) is None
    oldest = f"checkpoint {good}: cannot be read (unknown key 'format': written by a newer version?)"
    assert messages == [f"{problem}; starting at update 0" for problem in (*problems, oldest)]


def test_one_whose_update_is_not_a_number_is_skipped(run: RunCheckpoints, tmp_path: Path) -> None:
    run.save(checkpoint(4))
    run.save(checkpoint(8))
    damage(max((tmp_path / "run").iterdir()), {"update": float("inf")})
    found = run.newest()
    assert found is not None
    assert found.progress.update == 4


def test_a_run_is_finished_or_was_stopped(run: RunCheckpoints) -> None:
    run.save(checkpoint(4))
    with pytest.raises(StoppedError, match="stopped at update 4; a checkpoint was written: start the same job again"):
        run.finished()
    run.save(checkpoint(8, finished=True))
    assert run.finished().progress.update == 8


def test_a_storage_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = RunCheckpoints(str(tmp_path / "file"), "run")
    with pytest.raises(StorageError, match=r"the checkpoint cannot be written to .*/file/run \(.*; free space"):
        run.save(checkpoint(4))


def test_a_local_run_is_deleted(tmp_path: Path) -> None:
    run = RunCheckpoints(str(tmp_path), "run")
    run.save(checkpoint(4))
    run.delete()
    run.delete()
    assert list(tmp_path.iterdir()) == []


def test_on_s3(bucket: str) -> None:
    run = RunCheckpoints(f"s3://{bucket}/jobs", "run")
    assert run.newest() is None
    for update in (4, 8, 12):
        run.save(checkpoint(update, finished=update == 12))
    assert run.finished().progress.update == 12
