"""Filters that select, from strings of user interfaces, the sentences to train a translation model on."""

from __future__ import annotations

import re
import unicodedata

MINIMUM_WORDS = 2
MAXIMUM_WORDS = 40
# Two texts may be translations if the longer one has at most _LENGTH_RATIO times the characters of the shorter one, or
# at most _LENGTH_SLACK characters more: the ratio varies widely in short labels.
_LENGTH_RATIO = 2.5
_LENGTH_SLACK = 12

_UNWANTED = re.compile(
    r"""
      [{}<>\[\]`|\\]                # placeholders, references such as [%key:x%], markup, Markdown links and code
    | %-?[\w({%]                    # %s, %(name)s, %d, %-d, %%, %{x}
    | \$[\w({]                      # $x, ${x}
    | &\#?\w+;                      # HTML entities
    | \*\* | __ | ^\#+\s | ^[*-]\s  # Markdown emphasis, headings and lists
    | :// | \bwww\. | \S@\S         # addresses
    """,
    re.VERBOSE,
)
# Control, format (soft hyphens, bidirectional marks), surrogate, private, unassigned, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_clean(text: str) -> bool:
    """Whether a text has 2 to 40 words, a letter, and no placeholders, markup, addresses or control characters."""
    return (
        MINIMUM_WORDS <= len(text.split()) <= MAXIMUM_WORDS
        and not _UNWANTED.search(text)
        and not any(unicodedata.category(character) in _UNPRINTABLE for character in text)
        and bool(fold(text))
    )


def is_translation(english: str, translation: str) -> bool:
    """Whether two clean texts may be translations of each other: their letters differ and their lengths are similar."""
    shorter, longer = sorted((len(english), len(translation)))
    return longer <= max(_LENGTH_RATIO * shorter, shorter + _LENGTH_SLACK) and fold(english) != fold(translation)


def fold(text: str) -> str:
    """Return only the letters of a text, case-folded and NFKC-normalised.

    Texts with equal results count as the same text when training and test data are separated: they differ at most in
    case, punctuation, spaces or numbers.
    """
    return "".join(filter(str.isalpha, unicodedata.normalize("NFKC", text).casefold()))
