"""JSON values, and the current moment."""

from __future__ import annotations

from datetime import UTC, datetime

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]
JSONObject = dict[str, JSON]


def now() -> datetime:
    """The current moment in UTC."""
    return datetime.now(UTC)
