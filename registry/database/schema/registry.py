"""What belongs to the registry as a whole, and the jobs that write to it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import SchemaItem

from registry.database.base import DIGEST_LENGTH, Base
from registry.records.jobs import JobState
from registry.records.values import JSONObject

BLOBS_SETTING = "blobs"
IDENTITY_SETTING = "identity"


class Setting(Base):
    """A setting of the whole registry: ``BLOBS_SETTING`` holds the location of the blobs.

    ``IDENTITY_SETTING`` distinguishes it from other registries with blobs in the same location.
    """

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Job(Base):
    """A job and the lease on it: ``holder`` may work on it until ``expires``.

    ``folder``, where its checkpoints are, is relative to the database's folder if it is inside. What the job works on
    is unknown for jobs of earlier versions.
    """

    __tablename__ = "jobs"
    __table_args__: tuple[SchemaItem, ...] = (
        CheckConstraint("state IN ('running', 'finished', 'failed', 'stopped')", name="state"),
    )

    digest: Mapped[str] = mapped_column(String(DIGEST_LENGTH), primary_key=True)
    kind: Mapped[str]
    state: Mapped[JobState]
    attempt: Mapped[int]
    holder: Mapped[str | None]
    expires: Mapped[datetime | None]
    run: Mapped[str | None]
    spec: Mapped[JSONObject | None] = mapped_column(JSON(none_as_null=True))
    identity: Mapped[JSONObject | None] = mapped_column(JSON(none_as_null=True))
    folder: Mapped[str | None]
    created: Mapped[datetime]
    updated: Mapped[datetime]
