"""How new tokenizers read text: in Unicode's form NFC, with any white space as a space. The rule is part of the model.

SentencePiece has no rule for NFC alone: its own ones also rewrite characters that reference translations contain
(½, ™, full-width forms).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import permutations, product
from unicodedata import combining, normalize

# Where characters with a canonical decomposition lie as of Unicode 14, apart from Hangul. Normal forms of assigned
# characters never change, so the rule is the same whatever version of Unicode Python has.
_COMPOSED = (
    *range(0xA0, 0xAC00),
    *range(0xF900, 0xFFFE),
    *range(0x11080, 0x11140),
    *range(0x11300, 0x11380),
    *range(0x114B0, 0x114D0),
    *range(0x115B0, 0x115C0),
    *range(0x11930, 0x11940),
    *range(0x1D150, 0x1D1D0),
    *range(0x2F800, 0x2FA20),
)
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7a3]")
# Two marks on one letter, of which at most one is composed with it, as in Yoruba's ẹ́: their order varies in text.
_LETTERS = "AEIOUaeiouCDGHKLMNRSTWYZcdghklmnrstwyz"
_ABOVE = "\u0300\u0301\u0302\u0303\u0304\u0308\u030c"
_BELOW = "\u0323\u0327\u0328\u0331"
_SPACES = [
    *"\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2028\u2029\u202f\u205f\u3000",
    *map(chr, range(0x2000, 0x200B)),
]
_PIECE_SPACE = "▁"  # SentencePiece writes a space like this, so that it reads one as a space in any case


def has_hangul(text: str) -> bool:
    return _HANGUL.search(text) is not None


@cache
def rule_table(*, hangul: bool) -> str:
    """Return the rule as SentencePiece reads it: lines of code points, a tab, and the code points they become.

    ``hangul`` adds Korean syllables, which would make each model 200 kB larger.
    """
    rule = dict.fromkeys((*_SPACES, _PIECE_SPACE), " ")
    for text in (*_variants(), *(_hangul_variants() if hangul else ())):
        if (composed := normalize("NFC", text)) != text:
            rule[text] = composed
    rule |= dict.fromkeys((*_SPACES, _PIECE_SPACE), " ")  # last: two spaces are variants of other spaces
    return "".join(f"{_code_points(text)}\t{_code_points(read)}\n" for text, read in sorted(rule.items()))


def _code_points(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)


def _variants() -> Iterator[str]:
    """Texts whose normal form is another one: composed characters, decomposed in whole or in part."""
    equal: dict[str, list[str]] = {}
    for character in map(chr, _COMPOSED):
        if (decomposed := normalize("NFD", character)) != character:
            equal.setdefault(decomposed, []).append(character)
    letters = {normalize("NFD", f"{a}{b}{c}") for a, b, c in product(_LETTERS, _ABOVE, _BELOW)}
    for decomposed in (*equal, *sorted(letters)):
        for text in _orders(decomposed):
            yield text
            for length in range(1, len(text) + 1):
                for character in equal.get(normalize("NFD", text[:length]), ()):
                    if normalize("NFD", character + text[length:]) == decomposed:
                        yield character + text[length:]


def _orders(decomposed: str) -> Iterator[str]:
    """The orders of a letter's marks that mean the same."""
    letter, marks = decomposed[0], decomposed[1:]
    if len({combining(mark) for mark in marks}) < 2:
        yield decomposed
        return
    for order in sorted(set(permutations(marks))):
        text = letter + "".join(order)
        if normalize("NFD", text) == decomposed:
            yield text


def _hangul_variants() -> Iterator[str]:
    for syllable in map(chr, _HANGUL_SYLLABLES):
        decomposed = normalize("NFD", syllable)
        yield decomposed
        if len(decomposed) == 3:
            yield normalize("NFC", decomposed[:2]) + decomposed[2]
