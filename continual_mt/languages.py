"""Language tags (BCP 47) and language pairs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import langcodes
from langcodes.tag_parser import LanguageTagError

from continual_mt.errors import LanguageError

SideName = Literal["source", "target"]
NewSide = Literal["source", "target", "both", "none"]
"""Which sides of a pair are new to what an addition is trained against; a bridge between two known sides has none."""

_ENDS: dict[NewSide, tuple[SideName, ...]] = {
    "source": ("source",),
    "target": ("target",),
    "both": ("source", "target"),
    "none": (),
}


def ends_of(side: NewSide) -> tuple[SideName, ...]:
    """Return the sides of a pair that are new."""
    return _ENDS[side]


_CODES = {"ns": "nso"}
"""Codes that published models have for languages, and that BCP 47 does not."""

_LETTERS = re.compile(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*")


def parse_language(tag: str) -> str:
    """Normalise a BCP 47 tag and join its subtags by ``_``: both ``pt-br`` and ``pt_BR`` give ``pt_BR``.

    Raises LanguageError if the tag is malformed or its language is not registered.
    """
    if not isinstance(tag, str):
        raise _not_a_tag(tag)
    return _normal(tag)


@lru_cache(maxsize=4096)  # a registry of ten thousand pairs has only some hundred languages
def _normal(tag: str) -> str:
    if len(tag) > 35 or not _LETTERS.fullmatch(tag):
        raise _not_a_tag(tag[:80])
    hyphenated = _CODES.get(tag, tag).replace("_", "-")
    try:
        # Keep macro-languages as they are written: for users, "zh" and "cmn" are two different tags.
        normal = langcodes.standardize_tag(hyphenated, macro=False)
    except LanguageTagError as error:
        raise LanguageError(f"{tag!r} is not a language tag ({error}); expected BCP 47, for example de") from error
    if not langcodes.tag_is_valid(hyphenated):
        raise LanguageError(
            f"no language has the tag {tag!r}; expected a registered BCP 47 tag, for example de or pt-BR"
        )
    return normal.replace("-", "_")


def _not_a_tag(tag: object) -> LanguageError:
    return LanguageError(f"{tag!r} is not a language tag; expected BCP 47, for example de, pt_BR or zh_Hant")


@dataclass(frozen=True, order=True, slots=True)
class Pair:
    """A translation direction. ``str(pair)`` joins both tags with a hyphen, ``pt_BR-en``; subtags are joined by ``_``.

    Raises LanguageError for invalid tags and for two equal languages.
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", parse_language(self.source))
        object.__setattr__(self, "target", parse_language(self.target))
        if self.source == self.target:
            raise LanguageError(f"{self.source}-{self.target}: a language is never paired with itself")

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Parse ``de-en``. Raises LanguageError unless it is two different valid tags joined by one hyphen."""
        parts = text.split("-")
        if len(parts) != 2 or not all(parts):
            raise LanguageError(f"{text!r:.80} is not a pair; expected SOURCE-TARGET, for example de-en or pt_BR-en")
        return cls(parts[0], parts[1])

    def language(self, side: SideName) -> str:
        return self.source if side == "source" else self.target

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"
