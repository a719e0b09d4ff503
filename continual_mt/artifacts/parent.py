"""Parents: complete models that are never changed and are identified by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from torch import Tensor

from continual_mt.artifacts import serialization
from continual_mt.artifacts.half_precision import rounded
from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages, ParentSide, only_pair
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.artifacts.serialization import NewPiece, StoredPiece
from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored_precision import StoredPrecision, read_precision, written
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, LanguageError
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Architecture, parameter_names

FORMATS = (1, 2)
"""The versions of the stored format. Version 1 holds one pair in float32, and is written wherever it says all."""


@dataclass(frozen=True, eq=False)
class Parent:
    """The parameters of all five groups, the architecture, and the tokenizer and the languages of both ends.

    All languages of one end share its embeddings and its tokenizer; ``form`` is how sentences name their languages.
    The tensors are float32; if they are stored in another ``precision``, they are rounded to its values here.
    ``stored_fingerprint`` is the fingerprint of a parent that was stored: its values were checked then, and are not
    read again.

    Raises CorruptionError if names, shapes, dtypes or values of the tensors do not fit the architecture, or if a
    tokenizer lacks the token of a language, and IncompatibleError for values that are too large for the precision.
    """

    architecture: Architecture
    tensors: Mapping[str, Tensor]
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    languages: ParentLanguages
    form: SentenceForm = field(default_factory=SentenceForm)
    stored_fingerprint: InitVar[str | None] = None
    precision: StoredPrecision = field(default="float32", kw_only=True)

    def __post_init__(self, stored_fingerprint: str | None) -> None:
        sizes = {"source": self.source_tokenizer.size, "target": self.target_tokenizer.size}
        names, values = parameter_names(self.architecture), stored_fingerprint is None
        serialization.check_tensors(self.tensors, self.architecture, names, sizes, values=values)
        if stored_fingerprint is not None:
            self.__dict__["fingerprint"] = stored_fingerprint
        else:
            object.__setattr__(self, "tensors", rounded(self.tensors, self.precision))
        for end in ENDS:
            for side in self.languages.sides(end):
                if side.token is not None and self.tokenizer(end).number(side.token) is None:
                    raise CorruptionError(f"{end}.model: has no piece {side.token!r}, the token of {side.tag}")
        if self.form.starts_with_language and any(side.token is None for side in self.languages.targets):
            raise CorruptionError("parent.json: sentences start with the token of the target language; one has none")
        if any(not 0 <= number < self.target_tokenizer.size for number in self.form.ids):
            raise CorruptionError("parent.json: a start or banned id is outside the target's vocabulary")

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
        tokenizers = {"source": self.source_tokenizer, "target": self.target_tokenizer}
        return serialization.fingerprint(self.tensors, tokenizers, description, self.precision)

    def stored_in(self, precision: StoredPrecision) -> Parent:
        """Return the parent with its weights in another precision: another parent, with another fingerprint.

        Raises IncompatibleError for values that are too large for it.
        """
        return replace(self, precision=precision)

    def tokenizer(self, end: SideName) -> Tokenizer:
        """The tokenizer of an end, without the tokens of a language: the types of its embeddings."""
        return self.source_tokenizer if end == "source" else self.target_tokenizer

    def sides(
        self, pair: Pair, source: Tokenizer | None = None, target: Tokenizer | None = None
    ) -> tuple[LanguageSide, LanguageSide]:
        """Return the two sides of a pair, with the special tokens that its sentences need.

        ``source`` and ``target`` are tokenizers of new languages; None is the parent's own. Raises CorruptionError if
        one lacks a token that sentences need.
        """
        form, languages = self.form, self.languages
        own_source = source is None
        out_of = form.source_tokenizer(languages, pair, source or self.source_tokenizer, own=own_source)
        into = target or form.target_tokenizer(languages, pair, self.target_tokenizer)
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
        description |= written(self.precision)
        if self._is_of_a_pair and self.precision == "float32":
            description = {"format": 1, "pair": str(self.languages.only_pair), "architecture": architecture}
        return {
            "parent.json": serialization.json_piece(description),
            "source.model": self.source_tokenizer.model,
            "target.model": self.target_tokenizer.model,
            **serialization.tensor_pieces(self.tensors, self.precision),
        }

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
        models = [serialization.require_piece(pieces, f"{end}.model") for end in ENDS]
        source = Tokenizer(models[0])
        target = source if models[0] == models[1] else Tokenizer(models[1])
        return cls(
            architecture=Architecture.from_json(cast(dict[str, object], architecture)),
            tensors=serialization.read_tensors(pieces, GROUPS, precision),
            source_tokenizer=source,
            target_tokenizer=target,
            languages=languages,
            form=form,
            stored_fingerprint=fingerprint,
            precision=precision,
        )

    @property
    def _is_of_a_pair(self) -> bool:
        """Whether it has one pair, whose sentences do not name their languages."""
        pair = self.languages.only_pair
        return pair is not None and self.languages == ParentLanguages.of_pair(pair) and self.form == SentenceForm()

    def _languages_json(self) -> dict[str, object]:
        return {
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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
