"""How far a job came, for lists of jobs and for those that look for unfinished ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from continual_mt.errors import StorageError
from continual_mt.home import Home
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.lease import is_gone
from registry import JobRecord
from registry.records.values import JSONObject


@dataclass(frozen=True)
class JobProgress:
    """A job that is not finished, where its checkpoints are, and the update of the newest; None without one."""

    record: JobRecord
    checkpoints: RunCheckpoints | None
    update: int | None

    @classmethod
    def of(cls, record: JobRecord, home: Home, say: Callable[[str], None]) -> JobProgress:
        """Look for its checkpoints. A storage that cannot be read is reported, and counts as empty."""
        checkpoints = checkpoints_of(record, home)
        try:
            return cls(record, checkpoints, checkpoints.update() if checkpoints else None)
        except StorageError as error:
            say(f"job {record.digest[:12]}: {error}")
            return cls(record, checkpoints, None)

    @property
    def title(self) -> str:
        """What it makes: ``addition de-en``, ``sequence latin``. A parent of several pairs has its name."""
        spec = self.record.spec or {}
        name = spec.get("name") if self.record.kind == "sequence" or "pairs" in spec else spec.get("pair")
        return f"{self.record.kind} {name or self.record.digest[:12]}"

    @property
    def state(self) -> str:
        """``running``, ``stopped``, ``failed``, or ``killed`` for one whose driver ended without a word."""
        return self.record.state if self.record.state != "running" or self.is_running else "killed"

    @property
    def is_running(self) -> bool:
        record = self.record
        return record.is_held and not (record.holder is not None and is_gone(record.holder))

    @property
    def progress(self) -> str:
        """``update 41 of 2,000``, or an empty text if there is no checkpoint."""
        if self.update is None:
            return ""
        training = (self.record.spec or {}).get("training")
        updates = training.get("updates") if isinstance(training, dict) else None
        return f"update {self.update:,}" + (f" of {updates:,}" if isinstance(updates, int) else "")

    def to_json(self) -> JSONObject:
        place = self.checkpoints.place if self.checkpoints else None
        described: JSONObject = {"state": self.state, "update": self.update, "spec": self.record.spec, "folder": place}
        return {**self.record.to_json(), **described}


def checkpoints_of(record: JobRecord, home: Home) -> RunCheckpoints | None:
    """Where a job keeps its checkpoints, which may be none; None if that is not recorded."""
    if record.folder is not None:
        return checkpoints_at(record.folder)
    # Versions before the folder was recorded trained here, unless the spec named a storage.
    found = sorted(home.jobs.glob(f"{record.kind}-*-{record.digest[:32]}-{record.attempt}")) if not record.spec else []
    return checkpoints_at(str(found[0])) if found else None


def checkpoints_at(place: str) -> RunCheckpoints:
    """The checkpoints in a folder or below a URL."""
    storage, _, name = place.rpartition("/")
    return RunCheckpoints(storage, name)
