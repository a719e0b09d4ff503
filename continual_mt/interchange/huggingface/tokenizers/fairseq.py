"""mBART, mBART-50 and NLLB: a SentencePiece model whose ids are moved by one, then language codes and ``<mask>``."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from continual_mt.artifacts.sentence_form import Part
from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.tokenizers import language_codes, tokenizer_json
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import (
    CONTROL,
    NORMAL,
    padded,
    parse_model,
    with_ids,
)
from continual_mt.interchange.huggingface.tokenizers.tokenizer_json import TokenizerJson, read_tokenizer_json
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary

SENTENCEPIECE = "sentencepiece.bpe.model"
CODES = {"mbart": language_codes.MBART, "mbart50": language_codes.MBART50, "nllb": language_codes.NLLB}

_FIRST = ("<s>", "<pad>", "</s>", "<unk>")
_MASK = "<mask>"
_CODE = re.compile("[a-z]{2}_[A-Z]{2}|[a-z]{3}_[A-Z][a-z]{3}")
_PREFIX: tuple[Part, ...] = ("source language", "text", "end")
_SUFFIX: tuple[Part, ...] = ("text", "end", "source language")
_SPACES = "\t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def read_fairseq(
    folder: ModelFolder, settings: Settings, family: Literal["mbart", "mbart50", "nllb"]
) -> ImportedVocabulary:
    """Read ``tokenizer.json`` or, where it is missing, ``sentencepiece.bpe.model``, to which codes are added.

    If both exist they have to agree. The decoder of mBART starts with the language; the others start with ``</s>`` and
    the language. NLLB's ``legacy_behaviour`` puts the source language after the text, as mBART does.
    """
    found = _read(folder, CODES[family])
    origin = str(folder.path / (tokenizer_json.NAME if folder.has(tokenizer_json.NAME) else SENTENCEPIECE))
    names = found.special.union(CODES[family])
    languages = {
        name: number for number, name in enumerate(found.vocabulary) if name in names and _CODE.fullmatch(name)
    }
    if family == "mbart":
        _read_as_is(found.model)
    control = {*found.special, *languages, _MASK, "<s>"}
    types = padded(found.vocabulary, settings.model.get("vocab_size"), origin)
    special = settings.checked(settings.special("end"), types, control, origin, needs_start=family != "mbart")
    tokenizer = with_ids(found.model, types, special, control, origin)
    is_suffix = family == "mbart" or (family == "nllb" and bool(settings.tokenizer.get("legacy_behaviour")))
    return ImportedVocabulary(
        family=family,
        source=tokenizer,
        target=tokenizer,
        languages=languages,
        encoder_input=_SUFFIX if is_suffix else _PREFIX,
        decoder_input=("target language", "text", "end")
        if family == "mbart"
        else ("start", "target language", "text", "end"),
    )


def _read(folder: ModelFolder, codes: Sequence[str]) -> TokenizerJson:
    from_json = read_tokenizer_json(folder) if folder.has(tokenizer_json.NAME) else None
    if from_json and not folder.has(SENTENCEPIECE):
        return from_json
    path = folder.path / SENTENCEPIECE
    model = parse_model(folder.content(SENTENCEPIECE), str(path))
    pieces = [piece.piece for piece in model.pieces]
    if pieces[:3] != ["<unk>", "<s>", "</s>"]:
        raise IncompatibleError(f"{path}: starts with {', '.join(pieces[:3])}; expected <unk>, <s>, </s>")
    if other := next((piece.piece for piece in model.pieces[3:] if piece.type not in (NORMAL, CONTROL)), None):
        raise IncompatibleError(
            f"{path}: the piece {other!r} is user-defined, unused or a byte; expected none, as in published models. "
            "transformers reads these in another way than SentencePiece"
        )
    if from_json is None:
        return TokenizerJson(model, [*_FIRST, *pieces[3:], *codes, _MASK], frozenset((*_FIRST, *codes, _MASK)))
    for number, piece in enumerate(pieces[3:], start=len(_FIRST)):
        other = from_json.vocabulary[number] if number < len(from_json.vocabulary) else None
        if piece != other:
            raise IncompatibleError(
                f"{folder.path}: {SENTENCEPIECE} and {tokenizer_json.NAME} differ: id {number} is {piece!r} in the "
                f"first and {other!r} in the second; expected the same. Fix: get both files from the same revision"
            )
    return TokenizerJson(model, from_json.vocabulary, from_json.special)


def _read_as_is(model: Any) -> None:
    """Make a model read characters as they are, and any white space as a space, as transformers 5 does for mBART."""
    rule = "".join(f"{ord(space):X}\t20\n" for space in sorted(_SPACES))
    trained = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        (table := Path(folder) / "rule.tsv").write_text(rule, encoding="ascii")
        sentencepiece.SentencePieceTrainer.train(  # SentencePiece compiles rules only in training
            sentence_iterator=iter("a"),
            model_writer=trained,
            model_type="char",
            hard_vocab_limit=False,
            normalization_rule_tsv=str(table),
            minloglevel=2,
        )
    compiled = parse_model(trained.getvalue(), "rule")
    model.normalizer_spec.precompiled_charsmap = compiled.normalizer_spec.precompiled_charsmap
    for field in ("name", "normalization_rule_tsv"):
        model.normalizer_spec.ClearField(field)
