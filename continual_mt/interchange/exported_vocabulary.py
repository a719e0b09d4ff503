"""The vocabulary of a side as other libraries read it: a name for each type, and a model that splits text into these.

They look the pieces of a text up by name. So no text may be split into a piece that has the name of a special token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from continual_mt.data.tokenizer import TYPE_WITHOUT_PIECE, VOCABULARY_END, Tokenizer

_SPECIAL_FIELDS = ("pad_piece", "unk_piece", "bos_piece", "eos_piece")


def type_names(tokenizer: Tokenizer) -> list[str]:
    """Return the name of each type, by id: its piece, or a safe name if no text is encoded to it."""
    pieces = tokenizer.pieces
    control = set(control_types(tokenizer))
    return [safe_name(piece, tokenizer) if number in control else piece for number, piece in enumerate(pieces)]


def safe_name(name: str, *tokenizers: Tokenizer) -> str:
    """Return ``name``, with a space in it if a text could be split into it as an unknown piece: no piece has one."""
    return f"{name[:-1]} {name[-1]}" if any(_can_spell(tokenizer, name) for tokenizer in tokenizers) else name


def control_types(tokenizer: Tokenizer) -> list[int]:
    """Return the types that no text is encoded to, and that are not written in a translation, without the unknown."""
    proto = _parsed(tokenizer)
    control = proto.SentencePiece.CONTROL
    return [
        number
        for number, piece in enumerate(proto.pieces[: tokenizer.size])
        if piece.type == control and not _is_type_without_piece(tokenizer, piece)
    ]


def splitting_model(
    tokenizer: Tokenizer, names: Sequence[str], *, start: int | None = None, end: int | None = None
) -> bytes:
    """Return the SentencePiece model, with these names, and without the types that it has no piece of.

    ``start`` and ``end`` are ids that it takes for its start and end token; None are its own.
    """
    renamed = {old: new for old, new in zip(tokenizer.pieces, names, strict=True) if old != new}
    if not tokenizer.looks_pieces_up and not renamed and start is None and end is None:
        return tokenizer.model
    proto = _parsed(tokenizer)
    control = proto.SentencePiece.CONTROL
    kept = [
        piece
        for piece in proto.pieces
        if piece.type != control or (piece.piece != VOCABULARY_END and not _is_type_without_piece(tokenizer, piece))
    ]
    for piece in kept:
        piece.piece = renamed.get(piece.piece, piece.piece)
    for field in _SPECIAL_FIELDS:
        name = getattr(proto.trainer_spec, field)
        setattr(proto.trainer_spec, field, renamed.get(name, name))
    if start is not None:
        proto.trainer_spec.bos_piece = names[start]
    if end is not None:
        proto.trainer_spec.eos_piece = names[end]
    del proto.pieces[:]
    proto.pieces.extend(kept)
    model: bytes = proto.SerializeToString()
    return model


def _can_spell(tokenizer: Tokenizer, name: str) -> bool:
    spelled = [number for number in tokenizer.encode(name) if tokenizer.pieces[number] != "▁"]
    return spelled == [tokenizer.unknown]


def _parsed(tokenizer: Tokenizer) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)  # type: ignore[attr-defined]


def _is_type_without_piece(tokenizer: Tokenizer, piece: Any) -> bool:
    return tokenizer.looks_pieces_up and piece.score == TYPE_WITHOUT_PIECE
