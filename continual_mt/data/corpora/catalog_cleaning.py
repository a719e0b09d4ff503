"""Which strings of a user interface are sentences that a translation model should see."""

from __future__ import annotations

import re
import unicodedata

MINIMUM_WORDS = 2
MAXIMUM_WORDS = 40
# In characters. Short labels vary more than sentences, so a difference of a dozen characters is always plausible.
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
    """Whether a text of any language is 2 to 40 words without placeholders, markup, addresses or control characters."""
    return (
        MINIMUM_WORDS <= len(text.split()) <= MAXIMUM_WORDS
        and not _UNWANTED.search(text)
        and not any(unicodedata.category(character) in _UNPRINTABLE for character in text)
        and bool(fold(text))
    )


def is_translation(english: str, translation: str) -> bool:
    """Whether two clean texts may be translations: they differ in letters and are of similar length."""
    shorter, longer = sorted((len(english), len(translation)))
    return longer <= max(_LENGTH_RATIO * shorter, shorter + _LENGTH_SLACK) and fold(english) != fold(translation)


def fold(text: str) -> str:
    """The letters of a text, case folded, and nothing else: texts that differ in case, punctuation, spaces or numbers
    are the same text when training and test are kept apart."""
    return "".join(filter(str.isalpha, unicodedata.normalize("NFKC", text).casefold()))
