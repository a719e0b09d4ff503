"""Jobs and their leases: one driver holds a job at a time. Each function runs inside its caller's transaction."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.errors import JobHeldError, UnknownNameError
from registry.database import schema
from registry.database.database import Database
from registry.database.row_mapping import job_record
from registry.records.jobs import JobRecord, JobState
from registry.records.names import unknown
from registry.records.values import JSONObject, now

LEASE_SECONDS = 60.0
_DIGITS = re.compile(r"[0-9a-f]{1,64}")
_SHOWN_DIGITS = 12


class Jobs:
    """Jobs, and which driver works on each. Verbs for a job that was never held raise UnknownNameError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, digest: str) -> JobRecord | None:
        """A job and its lease; None if it was never held."""
        with self._database.read() as session:
            row = session.get(schema.Job, digest)
            return None if row is None else self._record(row)

    def job_of(self, digest: str) -> JobRecord:
        """The job of a digest, or of its first digits, whatever its state.

        Raises UnknownNameError if no job, or more than one, begins with them.
        """
        if not _DIGITS.fullmatch(digest):
            raise UnknownNameError(
                f"{digest[:80]!r} is not the digest of a job: it has to be 1 to 64 hexadecimal digits in small letters"
            )
        alike = select(schema.Job).where(schema.Job.digest.between(digest, digest.ljust(64, "f"))).limit(2)
        with self._database.read() as session:
            rows = session.scalars(alike).all()
            if not rows:
                known = session.scalars(select(schema.Job.digest))
                raise unknown("job", digest, (one[:_SHOWN_DIGITS] for one in known))
            if len(rows) > 1:
                raise UnknownNameError(f"several jobs begin with {digest}; write more of its digits")
            return self._record(rows[0])

    def records(self, *, finished: bool = False) -> list[JobRecord]:
        """Jobs that are not finished, with ``finished`` all; the most recently active first."""
        query = select(schema.Job).order_by(schema.Job.updated.desc(), schema.Job.digest)
        with self._database.read() as session:
            rows = session.scalars(query if finished else query.where(schema.Job.state != "finished"))
            return [self._record(row) for row in rows]

    def hold(self, digest: str, kind: str, holder: str, seconds: float = LEASE_SECONDS) -> JobRecord:
        """Take the lease on a job for some seconds, also one that has expired; a finished job is returned as it is.

        Raises JobHeldError, naming the holder, while another one holds it.
        """
        return self._write(lambda session: hold(session, digest, kind, holder, seconds))

    def renew(self, digest: str, holder: str, seconds: float = LEASE_SECONDS) -> JobRecord:
        """Hold a job for some seconds from now. Raises JobHeldError when the lease was lost to another holder."""
        return self._write(lambda session: renew(session, digest, holder, seconds))

    def release(self, digest: str, holder: str, state: JobState) -> JobRecord:
        """Give a job back: finished, failed or stopped. Raises JobHeldError when another holder has the lease."""
        return self._write(lambda session: release(session, digest, holder, state))

    def set_run(self, digest: str, run: str) -> JobRecord:
        """Note the tracking run of a job, which stays the same through retries."""
        return self._write(lambda session: set_run(session, digest, run))

    def describe(self, digest: str, spec: JSONObject, identity: JSONObject, folder: str | None) -> JobRecord:
        """Note what a job works on: see `JobRecord`."""
        base = self._database.folder
        if folder is not None and base is not None and Path(folder).is_relative_to(base):
            folder = str(Path(folder).relative_to(base))  # so that a home can be moved as a whole
        return self._write(lambda session: describe(session, digest, spec, identity, folder))

    def again(self, digest: str) -> JobRecord:
        """Let a finished job run again as its next attempt; a job that is not finished stays as it is."""
        return self._write(lambda session: again(session, digest))

    def forget(self, job: JobRecord, remove: Callable[[], None]) -> bool:
        """Call ``remove`` and forget a job that is not finished; drivers that want it wait meanwhile.

        Returns False, and does nothing, if the job is not as in ``job`` any more. If ``remove`` raises, it is kept.
        """
        return self._database.write(lambda session: forget(session, job, remove))

    def _write(self, change: Callable[[Session], schema.Job]) -> JobRecord:
        return self._database.write(lambda session: self._record(change(session)))

    def _record(self, row: schema.Job) -> JobRecord:
        return job_record(row, self._database.folder)


def find(session: Session, digest: str) -> schema.Job | None:
    """The row of a job, locked until the transaction ends where the database locks rows."""
    return session.scalar(select(schema.Job).where(schema.Job.digest == digest).with_for_update())


def hold(session: Session, digest: str, kind: str, holder: str, seconds: float) -> schema.Job:
    """Take the lease, unless the job is finished. Raises JobHeldError while another holder's has not expired."""
    moment = now()
    row = find(session, digest)
    if row is None:
        row = schema.Job(digest=digest, kind=kind, attempt=1, created=moment)
        session.add(row)
    elif row.state == "finished":
        return row
    elif row.state == "running" and row.holder != holder and row.expires is not None and row.expires > moment:
        raise _held(row)
    row.state, row.holder, row.expires, row.updated = "running", holder, moment + timedelta(seconds=seconds), moment
    session.flush()
    return row


def renew(session: Session, digest: str, holder: str, seconds: float) -> schema.Job:
    """Put off the end of a lease. Raises JobHeldError when it is no longer the holder's."""
    row = _held_by(session, digest, holder)
    row.updated = now()
    row.expires = row.updated + timedelta(seconds=seconds)
    return row


def release(session: Session, digest: str, holder: str, state: JobState) -> schema.Job:
    """Give the lease back, saying how the job ended. Raises JobHeldError when it is no longer the holder's."""
    row = _held_by(session, digest, holder)
    row.state, row.holder, row.expires, row.updated = state, None, None, now()
    return row


def set_run(session: Session, digest: str, run: str) -> schema.Job:
    """Note MLflow's run, which is kept through retries."""
    row = _known(session, digest)
    row.run, row.updated = run, now()
    return row


def describe(session: Session, digest: str, spec: JSONObject, identity: JSONObject, folder: str | None) -> schema.Job:
    """Note what a job works on."""
    row = _known(session, digest)
    row.spec, row.identity, row.folder = spec, identity, folder
    return row


def forget(session: Session, job: JobRecord, remove: Callable[[], None]) -> bool:
    """Remove what a job left, and its row, unless it is finished, held, or was used since ``job`` was read.

    The row of a later attempt stays, since the number of the attempt must not be used again.
    """
    row = find(session, job.digest)
    if row is None or row.state == "finished" or row.updated != job.updated or job.is_held:
        return False
    remove()
    if row.attempt == 1:
        session.delete(row)
    else:
        row.folder = None
    return True


def again(session: Session, digest: str) -> schema.Job:
    """Let a finished job be held again, as the next attempt and without a run; other jobs are unchanged."""
    row = _known(session, digest)
    if row.state == "finished":
        row.state, row.run, row.attempt, row.updated = "stopped", None, row.attempt + 1, now()
        row.folder = None
    return row


def _known(session: Session, digest: str) -> schema.Job:
    row = find(session, digest)
    if row is None:
        raise unknown("job", digest, session.scalars(select(schema.Job.digest)))
    return row


def _held_by(session: Session, digest: str, holder: str) -> schema.Job:
    row = _known(session, digest)
    if row.state != "running" or row.holder != holder:
        raise _held(row)
    return row


def _held(row: schema.Job) -> JobHeldError:
    if row.holder is None or row.expires is None:
        return JobHeldError(f"job {row.digest[:12]} ({row.kind}) is {row.state} and has no holder; start it again")
    return JobHeldError(
        f"job {row.digest[:12]} ({row.kind}) is held by {row.holder} until {row.expires:%Y-%m-%d %H:%M:%S} UTC; "
        "wait for it to end, or end that driver and start this one again after that time"
    )
