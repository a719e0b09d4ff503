"""Sides: what belongs to one language on the source or target side of a model, except its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from continual_mt.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class LanguageSide:
    """A language and its tokenizer, which defines the special ids of the side (pad, unknown, start, end)."""

    language: str
    tokenizer: Tokenizer
