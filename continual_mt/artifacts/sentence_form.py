"""Where the special tokens of a model's sentences stand: its start and end, and the tokens that name a language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair

Part = Literal["source language", "target language", "text", "start", "end"]
"""What a sequence consists of: the token of a language, the ids of the text, or a special id of the tokenizer."""


@dataclass(frozen=True)
class SentenceForm:
    """What encoder and decoder read around the text of a sentence.

    In translation the decoder starts with all that comes before the text. ``start`` is the id that it starts with in
    place of its tokenizer's, and ``banned`` are ids that it never chooses; both are of the parent's own target table.
    Raises CorruptionError for an order that no model has.
    """

    encoder_input: tuple[Part, ...] = ("text", "end")
    decoder_input: tuple[Part, ...] = ("start", "text", "end")
    start: int | None = None
    banned: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names, (encoder, decoder) = get_args(Part), (self.encoder_input, self.decoder_input)
        if (
            not {*encoder, *decoder} <= set(names)
            or any(parts.count("text") != 1 or parts.count("end") != 1 for parts in (encoder, decoder))
            or encoder[encoder.index("text") + 1 :][:1] != ("end",)
            or decoder[-2:] != ("text", "end")
            or decoder[0] not in ("start", "target language")
            or "start" in (*encoder, *decoder[1:])
        ):
            raise CorruptionError(f"unknown form of sentences: encoder {list(encoder)}, decoder {list(decoder)}")

    @property
    def starts_with_language(self) -> bool:
        """Whether the decoder's first input is the token of the target language."""
        return self.decoder_input[0] == "target language"

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the target table that it names."""
        return self.banned if self.start is None else (self.start, *self.banned)

    @property
    def source_names_target(self) -> bool:
        """Whether the encoder reads the target language, as in OPUS-MT's models of several target languages."""
        return "target language" in self.encoder_input

    def source_tokenizer(self, languages: ParentLanguages, pair: Pair, table: Tokenizer, *, own: bool) -> Tokenizer:
        """Return ``table``, the parent's ``own`` or a new language's, with the tokens of the pair's sources.

        A new language has no token. Raises CorruptionError if the table lacks a token.
        """
        middle = self.encoder_input.index("text")
        before, after = self.encoder_input[:middle], self.encoder_input[middle + 2 :]
        first, last = (_ids(parts, languages, pair, table, named_source=own) for parts in (before, after))
        return table.with_side_tokens(SideTokens(first, last))

    def target_tokenizer(self, languages: ParentLanguages, pair: Pair, table: Tokenizer) -> Tokenizer:
        """Return the parent's own target table with the tokens of the pair's targets. Raises as `source_tokenizer`."""
        first, *before = self.decoder_input[: self.decoder_input.index("text")]
        start = self.start
        if first == "target language":
            start = _ids([first], languages, pair, table, named_source=True)[0]
        tokens = SideTokens(_ids(before, languages, pair, table, named_source=True), (), start, self.banned)
        return table.with_side_tokens(tokens)

    def to_json(self) -> dict[str, object]:
        return {
            "encoder_input": list(self.encoder_input),
            "decoder_input": list(self.decoder_input),
            "start": self.start,
            "banned": list(self.banned),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SentenceForm:
        """Read what ``to_json`` returned. Raises CorruptionError."""
        try:
            start, banned = values["start"], tuple(values["banned"])
            form = cls(tuple(values["encoder_input"]), tuple(values["decoder_input"]))
        except (KeyError, TypeError) as error:
            raise CorruptionError(f"the form of sentences is malformed ({error})") from error
        form = replace(form, start=start, banned=banned)
        if any(type(number) is not int for number in form.ids):
            raise CorruptionError(f"start {start!r} and banned {banned!r}: expected ids")
        return form


def _ids(
    parts: Iterable[Part], languages: ParentLanguages, pair: Pair, table: Tokenizer, *, named_source: bool
) -> tuple[int, ...]:
    """Return the ids of the tokens of languages. Those of languages that the parent has no token of are left out."""
    ids = []
    for part in parts:
        end: Literal["source", "target"] = "source" if part == "source language" else "target"
        side = languages.side(end, pair.language(end))
        is_new_source = end == "source" and not named_source
        if is_new_source or side is None or side.token is None:
            continue
        number = table.number(side.token)
        if number is None:
            raise CorruptionError(f"the vocabulary has no piece {side.token!r}, the token of the language {side.tag}")
        ids.append(number)
    return tuple(ids)
