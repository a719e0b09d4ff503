"""The languages of a parent that is trained here on several pairs: their tokens, and where sentences have them."""

from __future__ import annotations

from collections.abc import Iterable

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide, Vocabularies
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.languages import Pair

JOINT_FORM = SentenceForm(("source language", "text", "end"), ("start", "target language", "text", "end"))
"""Every language is named, also the only one of an end: one form for all, whatever pairs a parent has."""


def language_token(tag: str) -> str:
    """Return the piece that names a language. No text has it: in pieces of a text, spaces are written as ``▁``."""
    return f"<language {tag}>"


def joint_languages(pairs: Iterable[Pair], vocabularies: Vocabularies = "shared") -> ParentLanguages:
    """Return the languages of a parent of these pairs, each with its token.

    With their own vocabularies, languages need no token: their embeddings tell them apart.
    """
    listed, named = list(pairs), vocabularies == "shared"
    sources, targets = (
        tuple(
            ParentSide(tag, tag, language_token(tag) if named else None)
            for tag in sorted({pair.language(end) for pair in listed})
        )
        for end in ("source", "target")
    )
    return ParentLanguages(sources, targets)
