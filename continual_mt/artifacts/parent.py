"""Parents: complete models that are never changed and are identified by fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from torch import Tensor

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages, ParentSide, Vocabularies, listed, only_pair
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored import serialization
from continual_mt.artifacts.stored.serialization import NewPiece, StoredPiece
from continual_mt.artifacts.stored.stored_precision import StoredPrecision, precision_entry, read_precision
from continual_mt.artifacts.stored.weight_formats import rounded
from continual_mt.artifacts.vocabulary import (
    Vocabulary,
    is_shared,
    named_tokenizers,
    read_vocabularies,
    tensor_shapes,
    tokenizer_of,
)
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, LanguageError
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Architecture, group_of
from continual_mt.model.language_sides import of_pair, of_side, part_of, stored_names

FORMATS = (1, 2)
"""The versions of the stored format. Version 1 holds one pair in float32, and is written wherever it says all."""


@dataclass(frozen=True, eq=False)
class Parent:
    """The parameters of all five groups, the architecture, and the vocabulary and the languages of both ends.

    The languages of an end share its tokenizer and its embeddings, unless ``source`` and ``target`` have a tokenizer
    for each language: then each language has a side with its own tensors, which `tensors_of` selects for a pair
    (``continual_mt.model.language_sides`` has their names). ``form`` is how sentences name their languages.
    The tensors are float32; if they are stored in another ``precision``, they are rounded to its values here.
    ``stored_fingerprint`` is the fingerprint of a parent that was stored: its values were checked then, and are not
    read again.

    Raises CorruptionError if names, shapes, dtypes or values of the tensors do not fit the architecture, or if a
    tokenizer lacks the token of a language, and IncompatibleError for values that are too large for the precision.
    """

    architecture: Architecture
    tensors: Mapping[str, Tensor]
    source: Vocabulary
    target: Vocabulary
    languages: ParentLanguages
    form: SentenceForm = field(default_factory=SentenceForm)
    stored_fingerprint: InitVar[str | None] = None
    precision: StoredPrecision = field(default="float32", kw_only=True)

    def __post_init__(self, stored_fingerprint: str | None) -> None:
        self._check_vocabularies()
        shapes = tensor_shapes(self.architecture, self.source, self.target)
        serialization.check_shapes(self.tensors, shapes, values=stored_fingerprint is None)
        if stored_fingerprint is not None:
            self.__dict__["fingerprint"] = stored_fingerprint
        else:
            object.__setattr__(self, "tensors", rounded(self.tensors, self.precision))
        for end in ENDS:
            for side in self.languages.sides(end):
                if side.token is not None and self.tokenizer(end, side.tag).number(side.token) is None:
                    raise CorruptionError(f"{end}.model: has no piece {side.token!r}, the token of {side.tag}")
        if self.form.starts_with_language and any(side.token is None for side in self.languages.targets):
            raise CorruptionError("parent.json: sentences start with the token of the target language; one has none")
        smallest = min(self.tokenizer("target", side.tag).size for side in self.languages.targets)
        if any(not 0 <= number < smallest for number in self.form.ids):
            raise CorruptionError("parent.json: a start or banned id is outside the target's vocabulary")

    def _check_vocabularies(self) -> None:
        if is_shared(self.source) != is_shared(self.target):
            raise CorruptionError("parent.json: one end has a vocabulary for each language; expected both or neither")
        for end in ENDS:
            for side in self.languages.sides(end):
                if tokenizer_of(self._vocabulary(end), side.tag) is None:
                    raise CorruptionError(f"{end}.{side.tag}.model: missing; expected a vocabulary for each language")

    @classmethod
    def of_pair(
        cls,
        pair: Pair,
        architecture: Architecture,
        tensors: Mapping[str, Tensor],
        source: Tokenizer,
        target: Tokenizer,
    ) -> Parent:
        """Build a parent of one pair, whose sentences do not name their languages."""
        return cls(architecture, tensors, source, target, ParentLanguages.of_pair(pair))

    @property
    def pair(self) -> Pair:
        """The pair of a parent of one pair. Raises IncompatibleError for a parent of several."""
        return only_pair(self.languages)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) of everything that determines the output.

        The tags of the languages are left out for a parent of one pair whose sentences do not name them.
        """
        description: dict[str, object] = {**self.architecture.to_json()}
        if not self._is_of_a_pair:
            description = {"architecture": description, **self._languages_json()}
        return serialization.fingerprint(self.tensors, self.tokenizers, description, self.precision)

    def stored_in(self, precision: StoredPrecision) -> Parent:
        """Return the parent with its weights in another precision: another parent, with another fingerprint.

        Raises IncompatibleError for values that are too large for it.
        """
        return replace(self, precision=precision)

    @property
    def vocabularies(self) -> Vocabularies:
        return "shared" if is_shared(self.source) else "own"

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """All tokenizers by the names that they are stored under: ``source``, or ``source.es`` for a language's own."""
        return {**named_tokenizers("source", self.source), **named_tokenizers("target", self.target)}

    @property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of all source languages. Raises IncompatibleError if each has its own."""
        return self.tokenizer("source")

    @property
    def target_tokenizer(self) -> Tokenizer:
        """The tokenizer of all target languages. Raises IncompatibleError if each has its own."""
        return self.tokenizer("target")

    def tokenizer(self, end: SideName, language: str | None = None) -> Tokenizer:
        """The tokenizer of a language of the parent, without tokens of languages: the types of its embeddings.

        Where all languages of an end share one, ``language`` does not matter. Where each has its own, raises
        IncompatibleError if it is not given, or if the parent lacks it.
        """
        vocabulary = self._vocabulary(end)
        if language is None and not isinstance(vocabulary, Tokenizer):
            raise IncompatibleError(
                f"the parent {self.languages} has a vocabulary for each language. Fix: name the {end} language"
            )
        found = tokenizer_of(vocabulary, language or "")
        if found is None:
            known = listed(self.languages.tags(end))
            raise IncompatibleError(
                f"the parent {self.languages} has no {end} vocabulary of {language}; expected {known}"
            )
        return found

    def _vocabulary(self, end: SideName) -> Vocabulary:
        return self.source if end == "source" else self.target

    def tensors_of(self, pair: Pair) -> Mapping[str, Tensor]:
        """The parameters of a pair's model, by its names: the body and the sides of both languages.

        Where each language has its own side, that of a language which the parent lacks is left out.
        """
        return self.tensors if self.vocabularies == "shared" else of_pair(self.tensors, pair)

    def tensors_of_side(self, end: SideName, language: str) -> Mapping[str, Tensor]:
        """The parameters of the side of one of the parent's languages, by the names of a pair's model."""
        if self.vocabularies == "own":
            return of_side(self.tensors, end, language)
        return {name: tensor for name, tensor in self.tensors.items() if group_of(name) == end}

    def sides(
        self, pair: Pair, source: Tokenizer | None = None, target: Tokenizer | None = None
    ) -> tuple[LanguageSide, LanguageSide]:
        """Return the two sides of a pair, with the special tokens that its sentences need.

        ``source`` and ``target`` are tokenizers of new languages; None is the parent's own. Raises CorruptionError if
        one lacks a token that sentences need, and IncompatibleError as `tokenizer` does.
        """
        form, languages = self.form, self.languages
        table = source or self.tokenizer("source", pair.source)
        out_of = form.source_tokenizer(languages, pair, table, own=source is None)
        into = target or form.target_tokenizer(languages, pair, self.tokenizer("target", pair.target))
        return LanguageSide(pair.source, out_of), LanguageSide(pair.target, into)

    @property
    def tokens_of_new_sources(self) -> tuple[str, ...]:
        """The pieces that the vocabulary of a new source language needs: they name the target languages."""
        if not self.form.source_names_target:
            return ()
        return tuple(side.token for side in self.languages.targets if side.token is not None)

    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    def pieces(self) -> dict[str, bytes]:
        """Return the stored form: bytes by name. ``from_pieces`` restores the parent bit by bit."""
        return serialization.in_memory(self.new_pieces())

    def new_pieces(self) -> dict[str, NewPiece]:
        """As ``pieces``, with the weights not yet copied."""
        architecture = self.architecture.to_json()
        description: dict[str, object] = {"format": 2, "architecture": architecture, **self._languages_json()}
        description |= precision_entry(self.precision)
        if self._is_of_a_pair and self.precision == "float32":
            description = {"format": 1, "pair": str(self.languages.only_pair), "architecture": architecture}
        return {
            "parent.json": serialization.json_piece(description),
            **{f"{name}.model": tokenizer.model for name, tokenizer in self.tokenizers.items()},
            **serialization.tensor_pieces(self.tensors, self.precision, self._part_of),
        }

    @property
    def _part_of(self) -> Callable[[str], str]:
        """The function from the name of a tensor to that of the piece that holds it, without its ending."""
        return group_of if self.vocabularies == "shared" else part_of

    @classmethod
    def from_pieces(cls, pieces: Mapping[str, StoredPiece], fingerprint: str | None = None) -> Parent:
        """Read what ``pieces`` returned. Raises CorruptionError, with the name of the piece at fault.

        With the ``fingerprint`` under which the parent was stored, float32 weights in open files are only mapped.
        """
        description = serialization.read_json(pieces, "parent.json")
        if description.get("format") not in FORMATS:
            raise CorruptionError(
                f"parent.json: unknown format {description.get('format')!r}; expected {' or '.join(map(str, FORMATS))}"
            )
        architecture = description.get("architecture")
        if not isinstance(architecture, dict):
            raise CorruptionError("parent.json: missing architecture; expected a JSON object")
        languages, form = _read_languages(description)
        is_float32 = description["format"] == 1 or "precision" not in description
        precision = "float32" if is_float32 else read_precision(description, "parent.json")
        shape = Architecture.from_json(cast(dict[str, object], architecture))
        tags = {end: languages.tags(end) for end in ENDS} if _has_own_vocabularies(description) else None
        source, target = read_vocabularies(pieces, tags)
        parts: Iterable[str] = GROUPS
        if tags is not None:
            parts = dict.fromkeys(part_of(name) for name in stored_names(shape, *tags.values()))
        return cls(
            architecture=shape,
            tensors=serialization.read_tensors(pieces, parts, precision, values=fingerprint is None),
            source=source,
            target=target,
            languages=languages,
            form=form,
            stored_fingerprint=fingerprint,
            precision=precision,
        )

    @property
    def _is_of_a_pair(self) -> bool:
        """Whether it has one pair, whose sentences do not name their languages."""
        pair = self.languages.only_pair
        if pair is None or self.vocabularies == "own":
            return False
        return self.languages == ParentLanguages.of_pair(pair) and self.form == SentenceForm()

    def _languages_json(self) -> dict[str, object]:
        # A key that came later is left out where it means what was meant before.
        vocabularies = {} if self.vocabularies == "shared" else {"vocabularies": "own"}
        return {
            **vocabularies,
            "sources": [[side.tag, side.code, side.token] for side in self.languages.sources],
            "targets": [[side.tag, side.code, side.token] for side in self.languages.targets],
            "denoising": self.languages.denoising,
            "sentences": self.form.to_json(),
        }


def _read_languages(description: Mapping[str, Any]) -> tuple[ParentLanguages, SentenceForm]:
    if description["format"] == 1:
        return ParentLanguages.of_pair(serialization.read_pair(description, "parent.json")), SentenceForm()
    try:
        sources, targets = (
            tuple(ParentSide(_text(tag), _text(code), _text_or_none(token)) for tag, code, token in description[end])
            for end in ("sources", "targets")
        )
        denoising = description["denoising"]
        if not isinstance(denoising, bool):
            raise TypeError("denoising is not true or false")
        return ParentLanguages(sources, targets, denoising), SentenceForm.from_json(description["sentences"])
    except (KeyError, TypeError, ValueError, IndexError, LanguageError, IncompatibleError) as error:
        raise CorruptionError(f"parent.json: malformed languages ({error})") from error


def _has_own_vocabularies(description: Mapping[str, Any]) -> bool:
    """Read whether each language has its own vocabulary. Raises CorruptionError for an unknown value."""
    found = description.get("vocabularies", "shared")
    if found == "own" and description["format"] == 2:
        return True
    if "vocabularies" in description:
        raise CorruptionError(f"parent.json: unknown vocabularies {found!r}; expected own")
    return False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
