"""Pieces that a parent or a module may have beside its own. They are outside its fingerprint and its size."""

from __future__ import annotations

from collections.abc import Mapping

from continual_mt.errors import CorruptionError

WORD_TRANSLATIONS = "word_translations.safetensors"
"""A parent's word translation probabilities, by which the embeddings of new languages start."""
INITIALISATION = "initialisation.json"
"""How the embeddings of a module's new side started."""
OPTIONAL_PIECES = frozenset({WORD_TRANSLATIONS, INITIALISATION})


def required(pieces: Mapping[str, str]) -> dict[str, str]:
    """Return the pieces of which a parent or a module consists, without optional ones."""
    return {name: digest for name, digest in pieces.items() if name not in OPTIONAL_PIECES}


def check_start(start: Mapping[str, object]) -> None:
    """Check that a JSON object tells how embeddings started. Raises CorruptionError."""
    types, frequent = start.get("types"), start.get("frequent")
    if not isinstance(types, dict) or not all(isinstance(count, int) for count in types.values()):
        raise CorruptionError(f"{INITIALISATION}: invalid types; expected counts by origin")
    if not isinstance(frequent, list) or not all(map(_is_frequent, frequent)):
        raise CorruptionError(f"{INITIALISATION}: invalid frequent; expected a list of piece, origin and nearest")
    if not isinstance(start.get("word_translations"), str | None):
        raise CorruptionError(f"{INITIALISATION}: invalid word_translations; expected a digest")


def _is_frequent(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("nearest"), list):
        return False
    return all(isinstance(text, str) for text in (one.get("piece"), one.get("origin"), *one["nearest"]))
