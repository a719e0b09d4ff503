"""A side: what belongs to one language on one end of a model, besides its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from continual_mt.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class LanguageSide:
    """One language and its tokenizer, which carries the side's own special ids (pad, unknown, start, end)."""

    language: str
    tokenizer: Tokenizer
