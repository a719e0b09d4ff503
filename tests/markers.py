"""Tests that only run where they are asked for by their marker."""

from __future__ import annotations

import re

import pytest


def deselect_unless_named(marker: str, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests with a marker, whatever else is asked for, unless ``-m`` names it."""
    marked = {item for item in items if item.get_closest_marker(marker)}
    if marked and not re.search(rf"\b{marker}\b", config.option.markexpr):
        config.hook.pytest_deselected(items=list(marked))
        items[:] = [item for item in items if item not in marked]
