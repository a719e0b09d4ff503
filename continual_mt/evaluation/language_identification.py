"""Which language a sentence is in: py3langid, whose model is in its wheel, so that nothing is downloaded.

py3langid (Barbaresi) is a fork of langid.py (Lui and Baldwin, ACL 2012). Its model takes a second to load and is loaded
only when a sentence is identified: neither the command line's help nor translation loads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from math import exp, lgamma
from typing import Any

import langcodes

from continual_mt.errors import LanguageError
from continual_mt.languages import parse_language

LIBRARY = "py3langid"
_NO_LANGUAGE = "zxx"
"""The library's label for numbers, markup and other text in no language."""

# Labels that ISO 639-3 counts to a wider language, whose texts may be identified as them. Indonesian is left out: it is
# a standard language beside Malay.
_WIDER = {
    **{"ary": "ar", "arz": "ar", "fuv": "ff", "gug": "gn", "nb": "no", "nn": "no", "sdh": "ku", "uzs": "uz"},
    **{"ltg": "lv", "wuu": "zh", "yue": "zh", "bcl": "bik", "gom": "kok"},
}

CHANCE = 0.01
EXCESS = 5.0


def known_languages() -> tuple[str, ...]:
    """Return the codes of the languages that the library identifies, in alphabetical order."""
    return tuple(sorted(set(_identifier().labels) - {_NO_LANGUAGE}))


def is_known(language: str) -> bool:
    """Whether the library identifies a target language, a BCP 47 tag; script and region do not matter."""
    return bool(labels_of(language))


def check_known(language: str) -> None:
    """Raise LanguageError, with the known languages, if the library lacks ``language``."""
    if not is_known(language):
        raise LanguageError(
            f"off-target rate: {LIBRARY} {version(LIBRARY)} does not identify {language}; "
            f"expected one of its {len(known_languages())} languages: {', '.join(known_languages())}. "
            "Fix: choose other metrics"
        )


@cache
def labels_of(language: str) -> frozenset[str]:
    """Return the labels that are right for a text in a language, a BCP 47 tag; none if the library lacks the language.

    Besides the language itself these are members of a macrolanguage (Egyptian Arabic for Arabic), and the wider
    language where the library lacks the narrower (Norwegian for Bokmål). Related standard languages, such as Croatian
    and Serbian, are different ones.
    """
    base, labels = _base(language), frozenset(known_languages())
    exact = {label for label in labels if base in (_base(label), _WIDER.get(label))}
    return frozenset(exact) or labels & {_wider(base)}


def are_off_target(lines: Iterable[str], language: str) -> list[bool]:
    """Return for each line whether it is identified as another language than ``language``.

    All languages of the library are possible. A line in which the library finds no language (an empty one, or one of
    digits and punctuation) is not in another language. Raises as `check_known` does.
    """
    check_known(language)
    right = labels_of(language)
    return [(label := _identify(line)) is not None and label not in right for line in lines]


def off_target_rate(lines: Sequence[str], language: str) -> float:
    """Return the percentage of lines that are in another language. Raises as `are_off_target` does."""
    return 100 * sum(are_off_target(lines, language)) / len(lines)


def is_wrong_language(rate: float, of_references: float | None, sentences: int) -> bool:
    """Whether translations are off target more often than references are: the excess marks a pair, not the rate.

    Both are percentages of the same number of ``sentences``. The excess has to be at least EXCESS points, and beyond
    chance: one-sided p < CHANCE by Fisher's exact test, which a handful of sentences cannot pass.
    """
    if of_references is None or rate - of_references < EXCESS:
        return False
    ours, theirs = (round(share * sentences / 100) for share in (rate, of_references))
    return _fisher(ours, theirs, sentences) < CHANCE


def _fisher(ours: int, theirs: int, sentences: int) -> float:
    """The probability that of ``ours + theirs`` lines at least ``ours`` fall on one of two equally large texts."""
    both = ours + theirs
    every = _log_choices(2 * sentences, both)
    return sum(
        exp(_log_choices(sentences, k) + _log_choices(sentences, both - k) - every)
        for k in range(ours, min(both, sentences) + 1)
    )


def _log_choices(items: int, chosen: int) -> float:
    return lgamma(items + 1) - lgamma(chosen + 1) - lgamma(items - chosen + 1)


@cache
def signature() -> dict[str, str]:
    """Return what results depend on, in the form of a sacreBLEU signature: name, languages and version."""
    return {"library": LIBRARY, "languages": ",".join(known_languages()), "version": version(LIBRARY)}


def shortened(signature: str) -> str:
    """Return a signature for a table, with the number of languages in place of their list."""
    fields = (field.partition(":") for field in signature.split("|"))
    return "|".join(
        f"{name}:{len(value.split(','))}" if name == "languages" else f"{name}{colon}{value}"
        for name, colon, value in fields
    )


def _identify(line: str) -> str | None:
    """Return the library's label of a line; None if it finds no language."""
    from py3langid.langid import RAW_FLOOR

    label, score = _identifier().classify(line)
    # A line without any feature of a language has the lowest score in all of them.
    return None if label == _NO_LANGUAGE or score <= RAW_FLOOR else str(label)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _base(language: str) -> str:
    """The language of a tag, without script and region."""
    return parse_language(language).partition("_")[0]


def _wider(base: str) -> str:
    return _WIDER.get(base) or str(langcodes.standardize_tag(base, macro=True))
