"""The record of a job and its lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from registry.records.values import JSONObject

JobState = Literal["running", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class JobRecord:
    """A job and the lease on it: ``holder`` may work on it until ``expires`` (UTC)."""

    digest: str
    kind: str
    state: JobState
    attempt: int
    holder: str | None
    expires: datetime | None
    run: str | None
    created: datetime
    updated: datetime

    def to_json(self) -> JSONObject:
        return {
            "digest": self.digest,
            "kind": self.kind,
            "state": self.state,
            "attempt": self.attempt,
            "holder": self.holder,
            "expires": self.expires.isoformat() if self.expires else None,
            "run": self.run,
            "created": self.created.isoformat(),
            "updated": self.updated.isoformat(),
        }
