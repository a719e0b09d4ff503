"""The BCP 47 tags of models' own language codes."""

from __future__ import annotations

from collections.abc import Iterable

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS

from continual_mt.errors import IncompatibleError, LanguageError
from continual_mt.interchange.huggingface.tokenizers.vocabulary import Family
from continual_mt.languages import parse_language

_SAME_SCRIPT = {("ko", "Hang")}
"""Scripts that are part of a language's usual one, here Hangul with Chinese characters."""


def language_tag(family: Family, code: str) -> str:
    """Return the tag of a code, in the form of ``parse_language``.

    Without a script where it is the language's usual one: ``fra_Latn`` is ``fr``, ``zho_Hant`` is ``zh_Hant``. mBART's
    regions are left out: ``ar_AR`` is ``ar``. NLLB has a code for the most common of a group of languages, for example
    ``arb_Arab`` for Arabic; the tag is the group's, ``ar``, as in the other models, unless the code has a tag of two
    letters. Raises LanguageError for a code that is no language.
    """
    if family in ("mbart", "mbart50"):
        return parse_language(code.partition("_")[0])
    if family == "m2m100":
        return parse_language(code)
    tag = langcodes.Language.get(parse_language(code).replace("_", "-"))
    language = tag.language or code
    group = langcodes.Language.get(language).prefer_macrolanguage().language or language
    if family == "nllb" and len(language) > 2:
        language = group
    likely = LIKELY_SUBTAGS.get(language) or LIKELY_SUBTAGS.get(group)
    # Where the usual script is not known, NLLB's is taken for it: it has one code for each of these languages.
    usual = langcodes.Language.get(likely).script if likely else tag.script if family == "nllb" else None
    script = None if tag.script == usual or (language, tag.script) in _SAME_SCRIPT else tag.script
    return parse_language("_".join(part for part in (language, script, tag.territory) if part))


def language_tags(family: Family, codes: Iterable[str], origin: str) -> tuple[dict[str, str], list[str]]:
    """Return the tag of each code, and the codes that are no language, such as made-up ones of OPUS-MT.

    Raises IncompatibleError if two codes have the same tag.
    """
    tags: dict[str, str] = {}
    unknown = []
    for code in codes:
        try:
            tags[code] = language_tag(family, code)
        except LanguageError:
            unknown.append(code)
    by_tag: dict[str, list[str]] = {}
    for code, tag in tags.items():
        by_tag.setdefault(tag, []).append(code)
    if doubles := [f"{' and '.join(same)} ({tag})" for tag, same in by_tag.items() if len(same) > 1]:
        raise IncompatibleError(
            f"{origin}: has two codes of one language: {', '.join(doubles)}; expected one of each. "
            "Fix: choose with --languages, such as --languages " + ",".join(same[0] for same in by_tag.values())[:80]
        )
    return tags, unknown
