"""``jobs list``, ``jobs show``, and ``registry gc`` of abandoned jobs, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry import Registry

JOB = "ab" * 32


@pytest.fixture
def folder(home: Path) -> Path:
    """The folder of a job that was stopped at update 41 of 2,000."""
    folder = home / "jobs" / "addition-de-en-1"
    (checkpoint := folder / "checkpoint_2026-01-02_03-04-05.678901-in-process").mkdir(parents=True)
    (checkpoint / "state.json").write_text('{"update": 41}')
    with Registry.open(home) as registry:
        registry.jobs.hold(JOB, "addition", "a driver")
        registry.jobs.describe(JOB, {"pair": "de-en", "training": {"updates": 2000}}, {"seed": 1}, str(folder))
        registry.jobs.release(JOB, "a driver", "stopped")
        registry.jobs.hold("cd" * 32, "sequence", "a driver")
        registry.jobs.describe("cd" * 32, {"name": "latin"}, {}, None)
        registry.jobs.release("cd" * 32, "a driver", "finished")
    return folder


def test_no_job(run: Any, home: Path) -> None:
    assert run("jobs", "list", "--home", home).err == "no unfinished jobs\n"
    assert run("jobs", "list", "--all", "--home", home).err == "no jobs yet\n"
    assert json.loads(run("jobs", "list", "--json", "--home", home).out) == []


def test_unfinished_jobs_are_listed(run: Any, home: Path, folder: Path) -> None:
    listed = run("jobs", "list", "--home", home)
    assert (listed.code, listed.err) == (0, "")
    (row,) = listed.out.splitlines()[1:]
    assert row.startswith(f"{JOB[:12]}  addition de-en  stopped  update 41 of 2,000  ")
    assert row.endswith(f"  {folder}")
    (job,) = json.loads(run("jobs", "list", "--json", "--home", home).out)
    assert (job["digest"], job["state"], job["update"], job["folder"]) == (JOB, "stopped", 41, str(folder))
    assert job["spec"] == {"pair": "de-en", "training": {"updates": 2000}}


def test_all_jobs_are_listed(run: Any, home: Path, folder: Path) -> None:
    found = json.loads(run("jobs", "list", "--all", "--json", "--home", home).out)
    assert {(job["kind"], job["state"]) for job in found} == {("addition", "stopped"), ("sequence", "finished")}


def test_a_job_is_shown_with_its_spec_and_what_its_digest_covers(run: Any, home: Path, folder: Path) -> None:
    shown = run("jobs", "show", JOB[:8], "--home", home)
    assert (shown.code, shown.err) == (0, "")
    facts, spec, covered = shown.out.split("\n\n")
    lines = facts.splitlines()
    assert lines[:4] == [f"job: {JOB}", "what: addition de-en", "state: stopped", "progress: update 41 of 2,000"]
    assert [line.partition(":")[0] for line in lines[4:]] == ["last active (UTC)", "checkpoints"]
    assert lines[5] == f"checkpoints: {folder}"
    assert spec == "spec:\npair: de-en\ntraining:\n  updates: 2000"
    assert covered == "what the digest covers:\nseed: 1\n"
    (listed,) = json.loads(run("jobs", "list", "--json", "--home", home).out)
    assert json.loads(run("jobs", "show", JOB, "--json", "--home", home).out) == {**listed, "identity": {"seed": 1}}


def test_a_finished_job_is_shown(run: Any, home: Path, folder: Path) -> None:
    lines = run("jobs", "show", "cd", "--home", home).out.splitlines()
    assert lines[1:4] == ["what: sequence latin", "state: finished", "progress: -"]


def test_a_job_of_a_version_that_recorded_no_spec_is_shown(run: Any, home: Path) -> None:
    with Registry.open(home) as registry:
        registry.jobs.hold(JOB, "addition", "a driver")
        registry.jobs.release(JOB, "a driver", "failed")
    shown = run("jobs", "show", JOB, "--home", home)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.endswith("\n\nspec: not recorded\n\nwhat the digest covers: not recorded\n")
    assert json.loads(run("jobs", "show", JOB, "--json", "--home", home).out)["identity"] is None


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        ("ef", "unknown job 'ef'; expected one of: abababababab, cdcdcdcdcdcd"),
        ("de-en", "'de-en' is not the digest of a job: it has to be 1 to 64 hexadecimal digits in small letters"),
    ],
)
def test_an_unknown_job_is_misuse(run: Any, home: Path, folder: Path, digest: str, message: str) -> None:
    refused = run("jobs", "show", digest, "--home", home)
    assert (refused.code, refused.out, refused.err) == (2, "", f"error: {message}\n")


def test_gc_lists_and_removes_abandoned_jobs(run: Any, home: Path, folder: Path) -> None:
    assert run("registry", "gc", "--home", home).err == "nothing to remove\n"
    dry = run("registry", "gc", "--grace", "0h", "--home", home)
    assert dry.out.splitlines()[1].startswith(f"unfinished addition de-en, update 41 of 2,000: {folder}  ")
    assert dry.err == "14 B would be removed; nothing was: give --delete to do it\n"
    assert folder.exists()
    done = json.loads(run("registry", "gc", "--grace", "0h", "--delete", "--json", "--home", home).out)
    (job,) = done["jobs"]
    assert (job["job"], job["update"], job["folder"], job["bytes"]) == (JOB, 41, str(folder), 14)
    assert not folder.exists()
    assert run("jobs", "list", "--home", home).err == "no unfinished jobs\n"
