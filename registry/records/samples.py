"""A sample translation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A sentence as a recipe translates it."""

    source: str
    hypothesis: str
    reference: str
