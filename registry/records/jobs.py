"""The record of a job and its lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from registry.records.values import JSONObject, now

JobState = Literal["running", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class JobRecord:
    """A job and the lease on it: ``holder`` may work on it until ``expires`` (UTC).

    ``spec`` is its resolved spec, ``identity`` what its digest covers, ``folder`` where its checkpoints are: a path or
    a URL. All three are None for a job of a version before they were recorded; a sequence has no folder.
    """

    digest: str
    kind: str
    state: JobState
    attempt: int
    holder: str | None
    expires: datetime | None
    run: str | None
    created: datetime
    updated: datetime
    spec: JSONObject | None = None
    identity: JSONObject | None = None
    folder: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether a driver may be at work on it now."""
        return self.state == "running" and self.expires is not None and self.expires > now()

    def _recorded(self) -> JSONObject:
        return {"spec": self.spec, "identity": self.identity, "folder": self.folder}

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
            **({} if self.spec is None else self._recorded()),
        }
