"""What somebody may have meant who wrote a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 80  # what is longer takes long to compare


def suggest(word: str, known: Iterable[str]) -> str:
    """The closest of what is known, to stand in an error behind the word; empty when nothing is close."""
    close = get_close_matches(word[:_LONGEST], list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
