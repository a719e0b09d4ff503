"""``tokenizer.json``, the file of the tokenizers library, where it holds a SentencePiece model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from continual_mt.errors import CorruptionError, IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, types_by_id
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import scored_model

NAME = "tokenizer.json"
_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True)
class TokenizerJson:
    """A model that splits text, the types by id, and the special tokens among these."""

    model: Any
    vocabulary: list[str]
    special: frozenset[str]


def read_tokenizer_json(folder: ModelFolder) -> TokenizerJson:
    """Read ``tokenizer.json``.

    Raises CorruptionError if it lacks what such a file has, and IncompatibleError if its model is not one that was
    converted from SentencePiece.
    """
    origin = str(folder.path / NAME)
    content = folder.mapping(NAME)
    try:
        pieces, kind = _pieces(content["model"], origin)
        added = {str(token["content"]): (int(token["id"]), bool(token["special"])) for token in content["added_tokens"]}
        ordinary = [(name, score) for name, score in pieces if name not in added]
        model = scored_model(ordinary, kind, _charsmap(content.get("normalizer")))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorruptionError(f"{origin}: invalid tokenizer ({type(error).__name__}: {error})") from error
    ids: dict[str, object] = {name: number for number, (name, _) in enumerate(pieces)}
    if len(ids) != len(pieces):
        raise IncompatibleError(f"{origin}: some types are listed more than once")
    for name, (number, special) in added.items():
        if not special:
            raise IncompatibleError(f"{origin}: the added token {name!r} is not special; expected only special ones")
        if ids.setdefault(name, number) != number:
            raise IncompatibleError(f"{origin}: {name!r} has two ids, {ids[name]} and {number}")
    vocabulary = types_by_id(ids, origin)
    return TokenizerJson(model, vocabulary, frozenset(added))


def _pieces(model: dict[str, Any], origin: str) -> tuple[list[tuple[str, float]], int]:
    """The types by id with their scores, and the type of the model."""
    vocabulary = model["vocab"]
    if model.get("byte_fallback"):
        raise IncompatibleError(f"{origin}: spells rare characters in bytes, which is not supported")
    if isinstance(vocabulary, list):
        return [(str(name), float(score)) for name, score in vocabulary], _UNIGRAM
    if model.get("type", "BPE") != "BPE":
        raise IncompatibleError(f"{origin}: a {model['type']} model; expected Unigram or BPE")
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    types = types_by_id(vocabulary, origin)
    scores = _scores(set(types), merges, origin)
    return [(name, scores.get(name, 0.0)) for name in types], _BPE


def _scores(types: set[str], merges: Sequence[tuple[str, ...]], origin: str) -> dict[str, float]:
    """The score of each piece that merges make: the higher, the earlier it is made.

    SentencePiece merges any two neighbours that are a piece together. Other merges cannot be expressed.
    """
    scores: dict[str, float] = {}
    last = ""
    for left, right in merges:
        piece = left + right
        if piece != last and piece in scores:
            raise IncompatibleError(f"{origin}: the merges for {piece!r} are not together, as SentencePiece has them")
        scores[piece] = -float(len(scores)) if piece != last else scores[piece]
        last = piece
    expected = {pair for piece in scores for pair in _splits(piece, types)}
    if different := expected.symmetric_difference(merges):
        left, right = min(different)
        raise IncompatibleError(
            f"{origin}: {len(different):,} merges differ from those of SentencePiece, such as {left!r} and {right!r}"
        )
    return scores


def _splits(piece: str, types: set[str]) -> Iterator[tuple[str, str]]:
    for index in range(1, len(piece)):
        if piece[:index] in types and piece[index:] in types:
            yield piece[:index], piece[index:]


def _charsmap(normalizer: Any) -> bytes:
    """The rule by which SentencePiece reads text, or nothing if it reads characters as they are."""
    if normalizer is None:
        return b""
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    found = [step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled"]
    try:
        return base64.b64decode(found[0], validate=True) if found and found[0] else b""
    except binascii.Error as error:
        raise ValueError(f"precompiled_charsmap: {error}") from error
