"""What unfinished jobs left: reported to a similar job, listed, moved along, and removed when abandoned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.home import Home
from continual_mt.training.checkpoint import Checkpoint, Progress
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.unfinished import (
    JobProgress,
    abandoned,
    bring_along,
    describe_others,
    differences,
    remove,
)
from ray_jobs.planning.resolve import ResolvedJob, resolve
from registry import JobRecord, Registry
from registry.database import schema

GRACE = timedelta(days=7)
Resolve = Callable[..., ResolvedJob]


def fail(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def home(registry: Registry) -> Home:
    return Home(Path(registry.blobs.place).parent)


@pytest.fixture
def resolved(registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path) -> Resolve:
    return lambda *given, **more: resolve(addition_spec(*given, **more), registry.parent("es-en"), tmp_path)


def stopped(registry: Registry, job: ResolvedJob, storage: str, update: int = 41) -> JobRecord:
    """A job that was stopped after a checkpoint."""
    registry.jobs.hold(job.digest, job.kind, "a driver")
    run = RunCheckpoints(storage, f"{job.kind}-{job.label}-{job.digest[:32]}-1")
    spec = job.spec.model_dump(mode="json")
    registry.jobs.describe(job.digest, spec, job.identity, run.place)
    tensor = torch.zeros(2)
    run.save(Checkpoint(Progress(update=update), {"a": tensor}, {"a": tensor}, {}, {"0": torch.get_rng_state()}))
    return registry.jobs.release(job.digest, "a driver", "stopped")


def test_a_job_with_other_settings_reports_the_unfinished_one(
    registry: Registry, home: Home, resolved: Resolve
) -> None:
    first = resolved("pt-en", {"training": {"updates": 2000}})
    record = stopped(registry, first, str(home.jobs))
    other = resolved("pt-en", {"training": {"updates": 400}}, seed=3)
    (text,) = describe_others(registry, home, other, fail)
    assert text == (
        f"an unfinished run of pt-en exists: it was stopped at update 41 of 2,000 on {record.updated:%Y-%m-%d %H:%M} "
        "UTC and differs in training.updates (2,000, now 400), seed (1, now 3). This run starts from the beginning. "
        "Fix: to continue the other one, start it with its own settings ('continual-mt jobs show "
        f"{first.digest[:12]}'); if it is not needed, 'continual-mt registry gc --delete' removes it later"
    )


def test_parents_of_several_pairs_are_known_by_their_name(
    registry: Registry, home: Home, joint_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    first = resolve(joint_spec(), None, tmp_path)
    stopped(registry, first, str(home.jobs))
    assert [JobProgress.of(record, home, fail).title for record in registry.jobs.records()] == ["parent joint"]
    other = resolve(joint_spec(sampling_temperature=1), None, tmp_path)
    (text,) = describe_others(registry, home, other, fail)
    assert text.startswith("an unfinished run of joint exists: it was stopped at update 41 of 8 on ")
    assert "differs in sampling_temperature (5.0, now 1.0). This run" in text
    fewer = resolve(joint_spec(pairs=joint_spec().model_dump(mode="json")["pairs"][:2]), None, tmp_path)
    (text,) = describe_others(registry, home, fewer, fail)
    assert "differs in the pairs, or their texts. This run" in text
    assert list(describe_others(registry, home, resolve(joint_spec(name="other"), None, tmp_path), fail)) == []


def test_only_jobs_that_would_make_the_same_and_have_checkpoints_are_reported(
    registry: Registry, home: Home, resolved: Resolve
) -> None:
    first = resolved("pt-en", seed=2)
    stopped(registry, first, str(home.jobs))
    assert list(describe_others(registry, home, first, fail)) == []
    assert list(describe_others(registry, home, resolved("es-de"), fail)) == []
    registry.jobs.hold(first.digest, first.kind, "elsewhere:1:a")
    assert list(describe_others(registry, home, resolved("pt-en"), fail)) == []
    registry.jobs.release(first.digest, "elsewhere:1:a", "failed")
    (text,) = describe_others(registry, home, resolved("pt-en"), fail)
    assert "it failed at update 41 of 8" in text
    RunCheckpoints(str(home.jobs), f"addition-pt-en-{first.digest[:32]}-1").remove()
    assert list(describe_others(registry, home, resolved("pt-en"), fail)) == []


def test_texts_and_starts_that_differ_are_named(resolved: Resolve) -> None:
    job = resolved("pt-en")
    before = job.identity | {"train": "0" * 64, "initialisation": ["lexical", 1, "f" * 64]}
    assert differences(before, job.identity) == ["the training text", "initialisation (lexical, now random)"]
    assert differences(job.identity, job.identity | {"version": 0}) == ["the version of continual_mt"]
    other = job.identity | {"initialisation": ["lexical", 1, "0" * 64]}
    assert differences(before | {"train": job.identity["train"]}, other) == ["the parent's word translations"]
    assert differences(job.identity, job.identity | {"init_text": "0" * 64, "init_pair": "es-en"}) == [
        "the text of the parent's pair that embeddings start from",
        "the pair of that text (not set, now es-en)",
    ]
    assert differences(job.identity, job.identity | {"precision": "int8"}) == ["stored_precision (not set, now int8)"]


def grow_old(registry: Registry, folder: Path | None, days: int = 8) -> None:
    """As if the jobs, and the files in a folder, were last used some days ago."""

    def change(session: Session) -> None:
        for row in session.scalars(select(schema.Job)):
            row.updated -= timedelta(days=days)

    registry.database.write(change)
    for path in folder.rglob("*") if folder else ():
        os.utime(path, (time.time() - days * 86400,) * 2)


@pytest.mark.parametrize("kind", ["folder", "file URL"])
def test_abandoned_jobs_are_removed_with_their_folder(
    registry: Registry, home: Home, resolved: Resolve, tmp_path: Path, kind: str
) -> None:
    storage = home.jobs if kind == "folder" else tmp_path / "storage"
    job = resolved("pt-en")
    stopped(registry, job, str(storage) if kind == "folder" else storage.as_uri())
    assert list(abandoned(registry, home, GRACE, fail)) == []
    grow_old(registry, storage)
    (found,) = abandoned(registry, home, GRACE, fail)
    assert (found.job.update, found.bytes > 0) == (41, True)
    registry.jobs.hold(job.digest, job.kind, "elsewhere:1:a")
    assert remove(registry, found) is False
    assert list(abandoned(registry, home, timedelta(0), fail)) == []
    registry.jobs.release(job.digest, "elsewhere:1:a", "stopped")
    grow_old(registry, storage)
    (found,) = abandoned(registry, home, GRACE, fail)
    assert remove(registry, found) is True
    assert registry.jobs.get(job.digest) is None
    assert list(storage.iterdir()) == []


def test_a_job_whose_files_were_written_a_moment_ago_is_not_abandoned(
    registry: Registry, home: Home, resolved: Resolve
) -> None:
    """The registry may be a copy of one that is at work."""
    stopped(registry, resolved("pt-en"), str(home.jobs))
    grow_old(registry, None)
    assert list(abandoned(registry, home, GRACE, fail)) == []


def test_a_job_that_no_version_described_is_found_by_its_folder(
    registry: Registry, home: Home, resolved: Resolve
) -> None:
    job = resolved("pt-en")
    stopped(registry, job, str(home.jobs))

    def forget(session: Session) -> None:
        row = session.get_one(schema.Job, job.digest)
        row.spec = row.identity = row.folder = None

    registry.database.write(forget)
    grow_old(registry, home.jobs)
    assert list(describe_others(registry, home, resolved("pt-en", seed=5), fail)) == []
    (found,) = abandoned(registry, home, GRACE, fail)
    assert (found.job.title, found.job.progress) == (f"addition {job.digest[:12]}", "update 41")
    assert remove(registry, found)
    assert list(home.jobs.iterdir()) == []


def test_a_folder_of_another_machine_is_left_alone(
    registry: Registry, home: Home, resolved: Resolve, tmp_path: Path
) -> None:
    job = resolved("pt-en")
    registry.jobs.hold(job.digest, job.kind, "a driver")
    registry.jobs.describe(job.digest, {}, {}, str(tmp_path / "elsewhere" / "run"))
    registry.jobs.release(job.digest, "a driver", "stopped")
    grow_old(registry, None)
    assert list(abandoned(registry, home, GRACE, fail)) == []


def test_a_storage_that_cannot_be_read_is_reported(registry: Registry, home: Home, resolved: Resolve) -> None:
    job = resolved("pt-en")
    registry.jobs.hold(job.digest, job.kind, "a driver")
    registry.jobs.describe(job.digest, {}, {}, "nothing://bucket/run")
    record = registry.jobs.release(job.digest, "a driver", "stopped")
    grow_old(registry, None)
    said: list[str] = []
    assert list(abandoned(registry, home, GRACE, said.append)) == []
    assert JobProgress.of(record, home, said.append).update is None
    assert said[0].startswith("kept: the checkpoints in nothing://bucket/run cannot be read: ")
    assert said[1].startswith(f"job {job.digest[:12]}: the checkpoints in nothing://bucket/run cannot be read: ")


def test_the_folder_moves_with_the_home(registry: Registry, home: Home, resolved: Resolve) -> None:
    stopped(registry, resolved("pt-en"), str(home.jobs))
    registry.close()
    moved = Home(home.path.rename(home.path.with_name("moved")))
    with Registry.open(moved.path) as opened:
        (record,) = opened.jobs.records()
        job = JobProgress.of(record, moved, fail)
    assert record.folder is not None
    assert Path(record.folder).parent == moved.jobs
    assert (job.state, job.update, job.title) == ("stopped", 41, "addition pt-en")


def test_a_job_that_continues_in_another_storage_takes_its_checkpoint_along(
    registry: Registry, home: Home, resolved: Resolve, tmp_path: Path
) -> None:
    record = stopped(registry, resolved("pt-en"), str(home.jobs))
    there = RunCheckpoints(str(tmp_path / "storage"), "run")
    note = bring_along(record, there)
    assert note == f"its checkpoint at update 41 was moved from {record.folder} to {there.place}"
    assert there.update() == 41
    assert list(home.jobs.iterdir()) == []
    assert bring_along(replace(record, folder=there.place), there) is None


def test_on_s3(registry: Registry, home: Home, resolved: Resolve, bucket: str) -> None:
    job = resolved("pt-en", {"training": {"updates": 2000}})
    record = stopped(registry, job, f"s3://{bucket}/jobs")
    assert record.folder == f"s3://{bucket}/jobs/addition-pt-en-{job.digest[:32]}-1"
    (text,) = describe_others(registry, home, resolved("pt-en"), fail)
    assert "at update 41 of 2,000" in text
    time.sleep(1.1)  # the storage's times are whole seconds
    (found,) = abandoned(registry, home, timedelta(seconds=1), fail)
    assert found.bytes > 0
    assert remove(registry, found)
    assert RunCheckpoints(f"s3://{bucket}/jobs", "").contents() == (0, 0.0)
