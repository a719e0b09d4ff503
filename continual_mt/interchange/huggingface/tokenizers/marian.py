"""Marian: a SentencePiece model a side, and one vocabulary or two that do not follow their ids."""

from __future__ import annotations

from typing import Literal

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import padded, parse_model, with_ids
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary


def read_marian(folder: ModelFolder, settings: Settings) -> ImportedVocabulary:
    """Read ``source.spm``, ``target.spm`` and ``vocab.json``; with ``separate_vocabs``, also ``target_vocab.json``.

    Types such as ``>>fra<<`` mark the source of a model with several target languages.
    """
    source = _read(folder, settings, "source")
    languages = {name[2:-2]: number for number, name in enumerate(source.pieces) if _is_language(name)}
    return ImportedVocabulary(
        family="marian",
        source=source,
        target=_read(folder, settings, "target"),
        languages=languages,
        encoder_input=("target language", "text", "end") if languages else ("text", "end"),
        decoder_input=("start", "text", "end"),
    )


def _read(folder: ModelFolder, settings: Settings, side: Literal["source", "target"]) -> Tokenizer:
    file, size = "vocab.json", settings.model.get("vocab_size")
    separate = bool(settings.tokenizer.get("separate_vocabs"))
    if separate and side == "target":
        file, size = "target_vocab.json", settings.model.get("decoder_vocab_size") or size
    origin = str(folder.path / file)
    types = padded(folder.vocabulary(file), size, origin)
    control = set(filter(_is_language, types))
    special = settings.checked(settings.special("pad"), types, control, origin, side if separate else "both")
    model = parse_model(folder.content(f"{side}.spm"), str(folder.path / f"{side}.spm"))
    return with_ids(model, types, special, control, origin)


def _is_language(name: str) -> bool:
    return name.startswith(">>") and name.endswith("<<") and len(name) > 4
