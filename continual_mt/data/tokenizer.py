"""SentencePiece tokenizers, one per side of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import sentencepiece

from continual_mt.errors import CorruptionError

VOCABULARY_END = "<end of vocabulary>"
"""A control piece after the last type of an imported vocabulary that differs from its model's pieces."""
TYPE_WITHOUT_PIECE = -1.0
"""The score of the control pieces that are types of such a vocabulary, but not pieces of its model."""


@dataclass(frozen=True)
class Coverage:
    """How a tokenizer spells a text: its characters without spaces, and how many are unknown or spelled in bytes."""

    characters: int
    unknown: int
    in_bytes: int

    @property
    def rare(self) -> int:
        """The characters that are unknown or spelled in bytes."""
        return self.unknown + self.in_bytes

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.characters + other.characters, self.unknown + other.unknown, self.in_bytes + other.in_bytes
        )

    def __str__(self) -> str:
        """The two shares: ``0.31% of 12,345 characters unknown, 0.02% spelled in bytes``."""
        shares = [f"{100 * part / max(1, self.characters):.2g}%" for part in (self.unknown, self.in_bytes)]
        return f"{shares[0]} of {self.characters:,} characters unknown, {shares[1]} spelled in bytes"


@dataclass(frozen=True)
class SideTokens:
    """Ids that models of other projects put around sentences, or never produce.

    ``before`` precede a sentence's tokens; on a target side, they follow the start token. ``after`` follow the end
    token of a source. ``start`` replaces the start token of a target. They name the language for a model with one table
    for many: M2M100, NLLB and mBART-50 have it in ``before``; mBART-cc25 has it in ``after``, and as ``start``.
    ``banned`` are never chosen in a translation, as the padding token of Marian.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    start: int | None = None
    banned: tuple[int, ...] = ()


NO_SIDE_TOKENS = SideTokens()


class Tokenizer:
    """A trained SentencePiece model, and the special tokens of a side of a model of another project.

    Two tokenizers are equal if their models are equal byte by byte and their ``side_tokens`` are equal.

    ``pad``, ``unknown``, ``start`` and ``end`` are the special ids of the model; ``byte_types`` are the ids of the 256
    bytes that rare characters are spelled in, or empty. ``size`` is the number of types, all of these included.
    Pickling stores the bytes of the model. Raises CorruptionError if ``model`` is not a SentencePiece model or lacks a
    special piece.

    The vocabulary of an imported model may differ from the pieces that it splits text into: then it ends with
    VOCABULARY_END. As in the original, each piece of a text is looked up in the vocabulary. Pieces after its end are
    unknown types, one id a piece, and what the model takes for unknown may be a type (TYPE_WITHOUT_PIECE).
    """

    def __init__(self, model: bytes, side_tokens: SideTokens = NO_SIDE_TOKENS) -> None:
        self.model = bytes(model)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError as error:
            raise CorruptionError(f"invalid SentencePiece model of {len(self.model)} bytes ({error})") from error
        end: int = self._processor.piece_to_id(VOCABULARY_END)
        self.looks_pieces_up: bool = self._processor.is_control(end)
        """Whether pieces of a text are looked up in an imported vocabulary that differs from the model's pieces."""
        self.size: int = end if self.looks_pieces_up else self._processor.get_piece_size()
        self.pad: int = self._processor.pad_id()
        self.unknown: int = self._processor.unk_id()
        self.end: int = self._processor.eos_id()
        specials = {
            "pad": self.pad,
            "unknown": self.unknown,
            "start": self._processor.bos_id(),
            "end": self.end,
        }
        missing = [name for name, number in specials.items() if not 0 <= number < self.size]
        if missing:
            raise CorruptionError(
                f"SentencePiece model: missing special pieces {', '.join(missing)}; expected {', '.join(specials)}"
            )
        self._specials = frozenset(specials.values())
        self.byte_types = frozenset(number for number in range(self.size) if self._processor.is_byte(number))

        self._set_side_tokens(side_tokens)

    def with_side_tokens(self, tokens: SideTokens) -> Tokenizer:
        """Return a tokenizer with the same model, which is not read again. Raises CorruptionError for other ids."""
        other = copy(self)
        other._set_side_tokens(tokens)
        return other

    def _set_side_tokens(self, tokens: SideTokens) -> None:
        self.side_tokens = tokens
        self.start: int = tokens.start if tokens.start is not None else self._processor.bos_id()
        for number in (*tokens.before, *tokens.after, self.start, *tokens.banned):
            if not 0 <= number < self.size:
                raise CorruptionError(f"special token {number}: outside the vocabulary of {self.size:,} types")
        self.digest = hashlib.sha256(self.model).hexdigest()
        if tokens != NO_SIDE_TOKENS:
            described = f"{self.digest} {tokens.before} {tokens.after} {tokens.start} {tokens.banned}"
            self.digest = hashlib.sha256(described.encode()).hexdigest()

    @property
    def before_source(self) -> tuple[int, ...]:
        """The ids before the tokens of a source."""
        return self.side_tokens.before

    @property
    def after_source(self) -> tuple[int, ...]:
        """The ids after the tokens of a source: the end token, and language tokens if any."""
        return (self.end, *self.side_tokens.after)

    @property
    def before_target(self) -> tuple[int, ...]:
        """The decoder's first inputs: the start token, and language tokens if any."""
        return (self.start, *self.side_tokens.before)

    def frame_source(self, tokens: Iterable[int]) -> list[int]:
        """Return the encoder's input for the tokens of a sentence."""
        return [*self.before_source, *tokens, *self.after_source]

    def room(self, positions: int) -> int:
        """Return how many tokens of a sentence fit into so many positions, on either side."""
        return positions - max(len(self.before_source) + len(self.after_source), len(self.before_target))

    @cached_property
    def pieces(self) -> list[str]:
        """The text of each type, by id."""
        return [self._processor.id_to_piece(number) for number in range(self.size)]

    def number(self, piece: str) -> int | None:
        """Return the id of a type by its text, None if there is no such type."""
        number: int = self._processor.piece_to_id(piece)
        return number if number < self.size and self._processor.id_to_piece(number) == piece else None

    def encode(self, sentence: str) -> list[int]:
        """Encode a sentence, without start and end. No text encodes to the ids ``pad``, ``start`` or ``end``."""
        ids: list[int] = self._processor.encode(sentence, out_type=int)
        return self._looked_up(sentence, ids) if self.looks_pieces_up else ids

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._processor.encode(list(sentences), out_type=int)
        return list(map(self._looked_up, sentences, ids)) if self.looks_pieces_up else ids

    def _looked_up(self, sentence: str, ids: list[int]) -> list[int]:
        """Return the types of a text's pieces, given the ids of these."""
        if all(number < self.size and number != self.unknown for number in ids):
            return ids
        return [self._types.get(piece, self.unknown) for piece in self._processor.encode(sentence, out_type=str)]

    @cached_property
    def _types(self) -> dict[str, int]:
        """The types that text can be encoded to."""
        control = self._processor.is_control
        return {
            piece: number
            for number, piece in enumerate(self.pieces)
            if not control(number) or number in self._without_piece
        }

    @cached_property
    def _without_piece(self) -> frozenset[int]:
        control, score = self._processor.is_control, self._processor.get_score
        return frozenset(n for n in range(self.size) if control(n) and score(n) == TYPE_WITHOUT_PIECE)

    def normalized(self, sentence: str) -> str:
        """Return the sentence as the model reads it: by its rule, with single spaces between words.

        With ``byte_types`` it is what decoding an encoded sentence gives.
        """
        text: str = self._processor.normalize(sentence)
        return text.replace("▁", " ").removeprefix(" ")

    def coverage(self, sentences: Iterable[str]) -> Coverage:
        """Count the characters that are unknown, and those that are spelled in bytes."""
        found = Coverage(0, 0, 0)
        for sentence in sentences:
            ids = self.encode(sentence)
            characters = len(self.normalized(sentence).replace(" ", ""))
            if self._rare.isdisjoint(ids):
                found += Coverage(characters, 0, 0)
                continue
            rare = [number for number in ids if number in self._rare]
            known = sum(len(self.pieces[number].replace("▁", "")) for number in ids if number not in self._rare)
            in_bytes = sum(not 0x80 <= self._byte(number) < 0xC0 for number in rare if number in self.byte_types)
            found += Coverage(characters, characters - known - in_bytes, in_bytes)
        return found

    @cached_property
    def _rare(self) -> frozenset[int]:
        return self.byte_types | {self.unknown}

    def _byte(self, number: int) -> int:
        """The value of a byte type, whose piece is ``<0x41>``."""
        return int(self.pieces[number][1:-1], 16)

    def decode(self, ids: Iterable[int]) -> str:
        """Decode ids to text; special ids are ignored. Raises IndexError for an id outside the vocabulary."""
        numbers = [int(number) for number in ids if int(number) not in self._specials]
        if self.looks_pieces_up:
            pieces = [self.pieces[number] for number in numbers]  # not those after the end, which the model has, too
            if not self._without_piece.isdisjoint(numbers):
                return "".join(piece for piece in pieces if piece in self._types).replace("▁", " ").lstrip(" ")
        text: str = self._processor.decode(numbers)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes, SideTokens]]:
        return Tokenizer, (self.model, self.side_tokens)

    def __repr__(self) -> str:
        return f"Tokenizer(size={self.size}, digest={self.digest[:12]})"
