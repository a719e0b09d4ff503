"""Suggest a known word for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_COMPARED_CHARACTERS = 80  # comparing long words takes long


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` with the most similar known word, to append in an error, or an empty string."""
    close = get_close_matches(word[:_COMPARED_CHARACTERS], list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
