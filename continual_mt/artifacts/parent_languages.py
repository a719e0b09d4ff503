"""The languages that a parent translates from and into. Registries list them without reading any weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from continual_mt.errors import IncompatibleError, LanguageError
from continual_mt.languages import Pair, SideName, parse_language

ENDS: tuple[SideName, SideName] = ("source", "target")
Vocabularies = Literal["shared", "own"]
"""Whether the languages of an end share its vocabulary and its embeddings, or each has its own."""
_LISTED = 12


@dataclass(frozen=True, slots=True, order=True)
class ParentSide:
    """A language on one end of a parent.

    ``tag`` is its BCP 47 tag, ``code`` what the parent itself calls it, such as ``eng_Latn``, and ``token`` the piece
    of its vocabulary that names the language in a sentence; None where none does.
    """

    tag: str
    code: str
    token: str | None = None


@dataclass(frozen=True)
class ParentLanguages:
    """The source and target languages of a parent, each by tag. It translates every source into every other target.

    A ``denoising`` parent, such as mBART before fine-tuning, has learned to restore text, but not to translate.
    Raises IncompatibleError if there is no language on one end, or two with one tag, and LanguageError for an invalid
    tag.
    """

    sources: tuple[ParentSide, ...]
    targets: tuple[ParentSide, ...]
    denoising: bool = False

    def __post_init__(self) -> None:
        for end, name in zip(ENDS, ("sources", "targets"), strict=True):
            sides = tuple(sorted(getattr(self, name)))
            object.__setattr__(self, name, sides)
            if not sides:
                raise IncompatibleError(f"a parent without a {end} language; expected at least one")
            for one, other in pairwise(sides):
                if one.tag == other.tag:
                    raise IncompatibleError(
                        f"{one.code} and {other.code} are both the {end} language {one.tag}; expected one code per tag"
                    )
            for side in sides:
                if parse_language(side.tag) != side.tag:
                    raise LanguageError(
                        f"{side.tag!r} is not how the tag is written; expected {parse_language(side.tag)!r}"
                    )

    @classmethod
    def of_pair(cls, pair: Pair) -> ParentLanguages:
        """The languages of a parent of one pair, whose sentences do not name them."""
        return cls((ParentSide(pair.source, pair.source),), (ParentSide(pair.target, pair.target),))

    def sides(self, end: SideName) -> tuple[ParentSide, ...]:
        return self.sources if end == "source" else self.targets

    def side(self, end: SideName, tag: str) -> ParentSide | None:
        """The side of a language, None if the parent lacks it."""
        return self._by_tag[end].get(tag)

    @cached_property
    def _by_tag(self) -> dict[SideName, dict[str, ParentSide]]:
        return {end: {side.tag: side for side in self.sides(end)} for end in ENDS}

    @cached_property
    def several(self) -> tuple[SideName, ...]:
        """The ends on which the parent has more than one language."""
        return tuple(end for end in ENDS if len(self.sides(end)) > 1)

    @property
    def only_pair(self) -> Pair | None:
        """The pair of a parent of one pair, None for other parents."""
        return None if self.several else Pair(self.sources[0].tag, self.targets[0].tag)

    @cached_property
    def count(self) -> int:
        """How many pairs the parent translates."""
        if self.denoising:
            return 0
        both = self._by_tag["source"].keys() & self._by_tag["target"].keys()
        return len(self.sources) * len(self.targets) - len(both)

    def pairs(self) -> Iterator[Pair]:
        """Every pair that the parent translates, in order."""
        if not self.denoising:
            for source in self.sources:
                for target in self.targets:
                    if source.tag != target.tag:
                        yield Pair(source.tag, target.tag)

    def __contains__(self, pair: Pair) -> bool:
        return not self.denoising and self._has("source", pair) and self._has("target", pair)

    def _has(self, end: SideName, pair: Pair) -> bool:
        return pair.language(end) in self._by_tag[end]

    def new_side(self, pair: Pair) -> SideName:
        """Return the side of ``pair`` that is new to the parent.

        Raises IncompatibleError unless the parent has exactly one of the pair's two languages on that end.
        """
        from_known, into_known = self._has("source", pair), self._has("target", pair)
        if from_known and into_known:
            raise IncompatibleError(
                f"{pair} is {self._a_pair()}; expected a pair with one new language, or --bridge, which trains another "
                "cross-attention for it"
            )
        if into_known:
            return "source"
        if from_known:
            return "target"
        sources, targets = (
            f"{{{listed(self.tags(end))}}}" if end in self.several else self.tags(end)[0] for end in ENDS
        )
        raise IncompatibleError(
            f"{pair} shares no side with the parent {self}; "
            f"expected XX-{targets} for a new source language or {sources}-XX for a new target language"
        )

    def _a_pair(self) -> str:
        if self.denoising:
            return "of two languages that the parent has already"
        return "a pair of the parent" if self.several else "the pair of the parent"

    def tags(self, end: SideName) -> tuple[str, ...]:
        return tuple(self._by_tag[end])

    def written_in_tags(self, language: str) -> str:
        """Return the tag of a language that may be one of the parent's own codes: ``eng_Latn`` is written ``en``.

        Raises LanguageError if it is neither a code nor a tag.
        """
        tag = parse_language(language)
        return tag if any(tag in self._by_tag[end] for end in ENDS) else self._by_code.get(tag, tag)

    def pair_in_tags(self, pair: Pair) -> Pair:
        """Return a pair with tags in place of the parent's own codes. Raises LanguageError if both have one tag."""
        if self.only_pair is not None and self._by_code == {tag: tag for end in ENDS for tag in self.tags(end)}:
            return pair
        return Pair(self.written_in_tags(pair.source), self.written_in_tags(pair.target))

    @cached_property
    def _by_code(self) -> dict[str, str]:
        """The tag of each code, as `Pair` writes it."""
        sides = (side for end in ENDS for side in self.sides(end))
        return {written: side.tag for side in sides if (written := _written(side.code)) is not None}

    def __str__(self) -> str:
        """``fr-en``, or the languages of both ends in braces: ``{de, fr}-en``."""
        return "-".join(f"{{{listed(self.tags(end))}}}" if end in self.several else self.tags(end)[0] for end in ENDS)


def only_pair(languages: ParentLanguages) -> Pair:
    """Return the pair of a parent of one pair. Raises IncompatibleError for a parent of several."""
    pair = languages.only_pair
    if pair is None:
        raise IncompatibleError(
            f"the parent {languages} has several pairs; expected a parent of one. Fix: name the pair"
        )
    return pair


def listed(tags: Iterable[str]) -> str:
    """The first tags and the number of the others: ``de, fr and 48 more``."""
    names = list(tags)
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{', '.join(names[: _LISTED - 1])} and {len(names) - _LISTED + 1} more"


def _written(code: str) -> str | None:
    try:
        return parse_language(code)
    except LanguageError:
        return None
