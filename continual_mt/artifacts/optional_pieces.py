"""Pieces that a parent or a module may have beside its own. They are outside its fingerprint and its size."""

WORD_TRANSLATIONS = "word_translations.safetensors"
"""A parent's word translation probabilities, by which the embeddings of new languages start."""
INITIALISATION = "initialisation.json"
"""How the embeddings of a module's new side started."""
OPTIONAL_PIECES = frozenset({WORD_TRANSLATIONS, INITIALISATION})
