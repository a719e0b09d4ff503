"""Which languages of a model become those of a parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide, listed
from continual_mt.errors import IncompatibleError, InputError, LanguageError, UnknownNameError
from continual_mt.interchange.huggingface.tokenizers.language_tags import language_tag, language_tags
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from continual_mt.languages import parse_language
from continual_mt.suggest import suggest

ALL = "all"


@dataclass(frozen=True)
class ChosenLanguages:
    """The languages of a parent. ``left_out`` are codes of the model that are no language."""

    languages: ParentLanguages
    left_out: tuple[str, ...] = ()


def split_pair(pair: str) -> tuple[str, str]:
    """Split ``SOURCE-TARGET``, two tags or two of the model's own codes. Raises LanguageError."""
    parts = pair.split("-")
    if len(parts) != 2 or not all(parts):
        raise LanguageError(
            f"{pair!r:.80} is not a pair; expected SOURCE-TARGET, for example fr-en or fra_Latn-eng_Latn"
        )
    return parts[0], parts[1]


@dataclass(frozen=True)
class LanguageChoice:
    """The languages of a model, of which some are chosen.

    ``names`` are the source and the target language in the settings of its tokenizer, if it has them. ``target`` is
    the code of the language that all its translations begin with, None if that is chosen at each translation. Methods
    raise UnknownNameError for a language that the model lacks, InputError if nothing or too much was chosen, and
    IncompatibleError for two codes of one language.
    """

    vocabulary: ImportedVocabulary
    origin: str
    names: tuple[str | None, str | None] = (None, None)
    target: str | None = None

    def choose(self, pair: str | None, languages: Sequence[str] | None) -> ChosenLanguages:
        """Choose one ``pair``, or ``languages`` by tag or code, or all of them if these are ``("all",)``."""
        if not self.vocabulary.languages:
            return self._only_pair(pair, languages)
        if pair is None and not languages:
            raise InputError(
                f"{self.origin}: knows {len(self.vocabulary.languages)} languages; expected a choice. "
                "Fix: --languages all, --languages with some of them, or --pair with one pair"
            )
        if pair is not None:
            source, target = split_pair(pair)
            return self._of_pair(source, target)
        chosen = self._codes(languages or ())
        sources = chosen if self.vocabulary.source_languages else None
        return self._checked(sources, chosen if self.target is None else (self.target,))

    def _only_pair(self, pair: str | None, languages: Sequence[str] | None) -> ChosenLanguages:
        """The pair of a model that names no languages."""
        if languages:
            raise InputError(f"{self.origin}: has no tokens of languages; expected --pair instead of --languages")
        source, target = split_pair(pair) if pair else (self._named(0), self._named(1))
        return ChosenLanguages(ParentLanguages((_unnamed(source),), (_unnamed(target),)))

    def _named(self, end: int) -> str:
        """The language in the settings of the tokenizer, unless that is the name of a group of languages."""
        try:
            return parse_language(str(self.names[end]))
        except LanguageError:
            raise InputError(
                f"{self.origin}: its settings do not name its {('source', 'target')[end]} language; expected --pair. "
                "Fix: add --pair, such as --pair fr-en"
            ) from None

    def _of_pair(self, source: str, target: str) -> ChosenLanguages:
        into = self._code(target)
        if self.target not in (None, into):
            raise IncompatibleError(
                f"{self.origin}: all its translations are into {self.target} by its settings; expected this target"
            )
        if not self.vocabulary.source_languages:
            return self._checked(None, (into,), source)
        return self._checked((self._code(source),), (into,))

    def _checked(
        self, sources: Sequence[str] | None, targets: Sequence[str], source: str | None = None
    ) -> ChosenLanguages:
        """With tags; ``sources`` is None if sentences do not name their source language."""
        tags, left_out = language_tags(self.vocabulary.family, dict.fromkeys([*(sources or ()), *targets]), self.origin)
        pieces = self.vocabulary.source.pieces
        found: Mapping[str, ParentSide] = {
            code: ParentSide(tag, code, pieces[self.vocabulary.languages[code]]) for code, tag in tags.items()
        }
        into = tuple(found[code] for code in targets if code in found)
        if lacking := [side.code for side in into if self.vocabulary.target.number(str(side.token)) is None]:
            raise IncompatibleError(
                f"{self.origin}: cannot be imported: its target vocabulary lacks the tokens of its languages, such as "
                f"{lacking[0]}, which its source vocabulary has; expected one vocabulary of both sides"
            )
        if sources is None:
            out_of: tuple[ParentSide, ...] = (_unnamed(source or self._named(0)),)
        else:
            out_of = tuple(found[code] for code in sources if code in found)
        return ChosenLanguages(ParentLanguages(out_of, into), tuple(left_out))

    def _codes(self, languages: Sequence[str]) -> tuple[str, ...]:
        if list(languages) == [ALL]:
            return tuple(self.vocabulary.languages)
        return tuple(dict.fromkeys(map(self._code, languages)))

    def _code(self, language: str) -> str:
        """The code of a language that is given by code or by tag."""
        if language in self.vocabulary.languages:
            return language
        known = self._by_tag
        try:
            codes = known.get(parse_language(language), [])
        except LanguageError:
            codes = []
        if len(codes) > 1:
            raise IncompatibleError(
                f"{self.origin}: {language} may be {' or '.join(codes)}; expected one of these codes"
            )
        if not codes:
            hint = suggest(language, [*known, *self.vocabulary.languages])
            raise UnknownNameError(
                f"{self.origin}: does not know the language {language!r}{hint}; expected one of {listed(sorted(known))}"
            )
        return codes[0]

    @cached_property
    def _by_tag(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for code in self.vocabulary.languages:
            try:
                found.setdefault(language_tag(self.vocabulary.family, code), []).append(code)
            except LanguageError:
                continue
        return found


def _unnamed(language: str) -> ParentSide:
    tag = parse_language(language)
    return ParentSide(tag, tag)
