"""Jobs that were started and not finished: what they left, how a new job differs from them, and their removal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from continual_mt.errors import StorageError
from continual_mt.home import Home
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.job_progress import JobProgress, checkpoints_at, checkpoints_of
from ray_jobs.planning.resolve import ResolvedJob
from registry import JobRecord, Registry
from registry.records.values import JSONObject, now

_CONTENT = {
    "back_translation.recipe": "the recipe that back-translates",
    "back_translation.text": "the text that is back-translated",
    "denoising.text": "the text that is restored from noise",
    "denoising.through": "the module that it is restored through",
    "dev": "the development text",
    "init_text": "the text of the parent's pair that embeddings start from",
    "lexicon": "the lexicon",
    "monolingual": "the text of one language",
    "pairs": "the pairs, or their texts",
    "parent": "the parent's weights",
    "replay": "what is replayed",
    "start": "the module that it continues from",
    "train": "the training text",
}
_NAMES = {"init_pair": "the pair of that text", "precision": "stored_precision"}
"""What a user knows keys of an identity by."""
_KIND_OF_START = "initialisation"


@dataclass(frozen=True)
class AbandonedJob:
    """An unfinished job without a lease that nothing was written for as long as a grace period."""

    job: JobProgress
    bytes: int

    def to_json(self) -> JSONObject:
        record, checkpoints = self.job.record, self.job.checkpoints
        return {
            "job": record.digest,
            "title": self.job.title,
            "update": self.job.update,
            "folder": checkpoints.place if checkpoints else None,
            "bytes": self.bytes,
        }


def abandoned(registry: Registry, home: Home, grace: timedelta, say: Callable[[str], None]) -> Iterator[AbandonedJob]:
    """Jobs that were not continued for as long as ``grace``. Those whose storage cannot be read are reported."""
    for record in registry.jobs.records():
        # Not `is_gone`: another machine that shares the database may have a process of the same number.
        if record.is_held or now() - record.updated < grace:
            continue
        checkpoints = checkpoints_of(record, home)
        try:
            size, written = checkpoints.contents() if checkpoints else (0, 0.0)
            update = checkpoints.update() if checkpoints else None
        except StorageError as error:
            say(f"kept: {error}")
            continue
        if time.time() - written < grace.total_seconds():
            continue  # a copy of this registry may be at work on it
        if checkpoints and not size and not _is_here(checkpoints, home):
            continue  # a folder of another machine
        yield AbandonedJob(JobProgress(record, checkpoints, update), size)


def remove(registry: Registry, abandoned: AbandonedJob) -> bool:
    """Remove an abandoned job with its checkpoints, unless it was continued meanwhile. Raises StorageError."""
    checkpoints = abandoned.job.checkpoints
    return registry.jobs.forget(abandoned.job.record, checkpoints.remove if checkpoints else lambda: None)


def describe_others(registry: Registry, home: Home, job: ResolvedJob, say: Callable[[str], None]) -> Iterator[str]:
    """One sentence for each unfinished job with checkpoints that differs from ``job`` only in what it trains with."""
    for record in registry.jobs.records():
        if record.digest == job.digest or record.identity is None or not _is_alike(record, job):
            continue
        other = JobProgress.of(record, home, say)
        if other.update is None or other.is_running:
            continue
        different = ", ".join(differences(record.identity, job.identity))
        yield (
            f"an unfinished run of {job.label} exists: it {_ended(other)} at {other.progress} on "
            f"{record.updated:%Y-%m-%d %H:%M} UTC and differs in {different}."
            " This run starts from the beginning. Fix: to continue the other one, start it with its own settings "
            f"('continual-mt jobs show {record.digest[:12]}'); if it is not needed, 'continual-mt registry gc "
            "--delete' removes it later"
        )


def bring_along(record: JobRecord, now_at: RunCheckpoints) -> str | None:
    """Copy the checkpoint of a job to where it is to continue, if it was trained elsewhere before; returns a note.

    The older place is then empty. Raises StorageError if the new place cannot be used.
    """
    before = None if record.folder is None else checkpoints_at(record.folder)
    if before is None or before.place == now_at.place or now_at.update() is not None:
        return None
    try:
        checkpoint = before.newest()
    except StorageError as error:
        return f"{error}; training starts from the beginning"
    if checkpoint is None:
        return None
    now_at.save(checkpoint)
    try:
        before.remove()
    except StorageError as error:
        return f"its checkpoint at update {checkpoint.progress.update:,} was copied to {now_at.place}; {error}"
    return f"its checkpoint at update {checkpoint.progress.update:,} was moved from {before.place} to {now_at.place}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between the identities of two jobs: keys of the spec with both values, and names of texts."""
    old, new = dict(_flat(before)), dict(_flat(after))
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        if key == _KIND_OF_START:
            first, second = one[0] if one else "random", other[0] if other else "random"
            found.append(
                f"initialisation ({first}, now {second})" if first != second else "the parent's word translations"
            )
        elif key in _CONTENT:
            found.append(_CONTENT[key])
        elif key.rpartition(".")[2] != "version":
            found.append(f"{_NAMES.get(key, key)} ({_shown(one)}, now {_shown(other)})")
    return found or ["the version of continual_mt"]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, "" if not prefix and key == "spec" else f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(value: object) -> str:
    return "not set" if value is None else f"{value:,}" if type(value) is int else str(value)


def _ended(job: JobProgress) -> str:
    return {"stopped": "was stopped", "killed": "was killed"}.get(job.state, job.state)


def _is_alike(record: JobRecord, job: ResolvedJob) -> bool:
    """Whether both would make the same thing: a parent, or a module of the same parent, for one pair.

    Parents of several pairs are known by their name.
    """
    spec = record.spec or {}
    label = spec.get("name") if "pairs" in spec else spec.get("pair")
    same_pair = record.kind == job.kind and label == job.label and ("pairs" in spec) == job.is_joint
    return same_pair and (job.parent is None or spec.get("parent") == job.parent.name)


def _is_here(checkpoints: RunCheckpoints, home: Home) -> bool:
    """Whether a folder that does not exist would be on this machine."""
    return "://" in checkpoints.storage or Path(checkpoints.storage) == home.jobs
