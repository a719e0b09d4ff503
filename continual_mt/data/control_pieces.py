"""Types of a vocabulary that no text is encoded to, such as the tokens of languages."""

from __future__ import annotations

from collections.abc import Sequence

from continual_mt.data.tokenizer import Tokenizer


def with_control_pieces(tokenizer: Tokenizer, pieces: Sequence[str]) -> Tokenizer:
    """Return a tokenizer with further types at the end of its vocabulary, in this order. Those it has are left out."""
    new = [piece for piece in dict.fromkeys(pieces) if tokenizer.number(piece) is None]
    if not new:
        return tokenizer
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)  # type: ignore[attr-defined]  # generated at runtime
    for piece in new:
        proto.pieces.add(piece=piece, score=0.0, type=sentencepiece_model_pb2.ModelProto.SentencePiece.CONTROL)  # type: ignore[attr-defined]
    return Tokenizer(proto.SerializeToString(), tokenizer.side_tokens)
