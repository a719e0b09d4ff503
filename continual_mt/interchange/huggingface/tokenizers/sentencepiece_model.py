"""SentencePiece models whose piece ids are those of another vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from continual_mt.data.tokenizer import TYPE_WITHOUT_PIECE, VOCABULARY_END, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.files import SpecialTokens

MOST_UNUSED = 256
"""The most rows that an embedding may have beyond its vocabulary. Tables are padded to multiples of up to 256."""

NORMAL, UNKNOWN, CONTROL = 1, 2, 3
"""Types of pieces. No text is split into the last two."""


def empty_model() -> Any:
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # generated at runtime


def parse_model(content: bytes, origin: str) -> Any:
    """Parse a SentencePiece model. Raises CorruptionError."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = empty_model()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise CorruptionError(f"{origin}: invalid SentencePiece model of {len(content)} bytes ({error})") from error
    if not model.pieces:
        raise CorruptionError(f"{origin}: invalid SentencePiece model of {len(content)} bytes: it has no pieces")
    return model


def padded(vocabulary: Sequence[str], size: object, origin: str) -> list[str]:
    """Add unused types up to ``size``, the rows of the embedding. Raises IncompatibleError if it does not fit."""
    problem = f"{origin}: {len(vocabulary):,} types, but config.json has {size!r} embeddings"
    if type(size) is not int or size < len(vocabulary):
        raise IncompatibleError(f"{problem}; expected at least {len(vocabulary):,}")
    if size > len(vocabulary) + MOST_UNUSED:
        raise IncompatibleError(f"{problem}; expected at most {MOST_UNUSED} more. Fix: get the model's own tokenizer")
    return [*vocabulary, *map(_unused, range(len(vocabulary), size))]


def with_ids(
    model: Any, vocabulary: Sequence[str], special: SpecialTokens, control: Collection[str], origin: str
) -> Tokenizer:
    """Return a tokenizer that splits text like ``model``, and gives each piece its index in ``vocabulary``.

    ``vocabulary`` may lack pieces and have other types: text is encoded to these if ``model`` takes them for unknown
    characters (tokenizer.py, VOCABULARY_END). No text is encoded to ``control`` and special tokens, which are in
    ``vocabulary``.

    Raises CorruptionError if a type is not text.
    """
    pieces = {piece.piece: piece for piece in model.pieces}
    controls = {*control, special.pad, special.start, special.end}
    result = empty_model()
    for part in ("trainer_spec", "normalizer_spec", "denormalizer_spec"):
        getattr(result, part).CopyFrom(getattr(model, part))
    has_other_types = False
    for name in vocabulary:
        piece = result.pieces.add()
        try:
            piece.piece = name
        except ValueError:
            raise CorruptionError(f"{origin}: the type {name!a} is not valid Unicode") from None
        found = pieces.get(name)
        if name == special.unknown:
            piece.type = UNKNOWN
        elif name in controls or _is_unused(name):
            piece.type = CONTROL
        elif found is not None and found.type != UNKNOWN:
            piece.score, piece.type = found.score, found.type
        else:
            piece.score, piece.type = TYPE_WITHOUT_PIECE, CONTROL
            has_other_types = True
    known = set(vocabulary)
    surplus = [piece for piece in model.pieces if piece.piece not in known and piece.type not in (UNKNOWN, CONTROL)]
    if surplus or has_other_types:
        end = result.pieces.add()
        end.piece, end.type = VOCABULARY_END, CONTROL
        result.pieces.extend(surplus)
    _name_special(result.trainer_spec, special, len(result.pieces))
    try:
        return Tokenizer(result.SerializeToString())
    except CorruptionError as error:
        raise CorruptionError(f"{origin}: {error}") from error


def _unused(number: int) -> str:
    return f"<unused {number}>"


def _is_unused(name: str) -> bool:
    return name.startswith("<unused ")


def _name_special(specification: Any, special: SpecialTokens, size: int) -> None:
    """SentencePiece finds special ids by their pieces; ids that the trainer was given do not matter."""
    specification.pad_piece, specification.unk_piece = special.pad, special.unknown
    specification.bos_piece, specification.eos_piece = special.start, special.end
    specification.vocab_size = size
    for field in ("input", "model_prefix", "pad_id", "unk_id", "bos_id", "eos_id"):
        specification.ClearField(field)


def scored_model(pieces: Iterable[tuple[str, float]], model_type: int, charsmap: bytes) -> Any:
    """Return a model of ``pieces`` that reads text by a compiled rule, and single spaces between words."""
    model = empty_model()
    for name, score in pieces:
        piece = model.pieces.add()
        piece.piece, piece.score = name, score
    model.trainer_spec.model_type = model_type
    model.normalizer_spec.precompiled_charsmap = charsmap
    return model
