"""Marian: a SentencePiece model a side, and one vocabulary or two that do not follow their ids."""

from __future__ import annotations

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import padded, parse_model, with_ids
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary


def read_marian(folder: ModelFolder, settings: Settings) -> ImportedVocabulary:
    """Read ``source.spm``, ``target.spm`` and ``vocab.json``; with ``separate_vocabs``, also ``target_vocab.json``.

    Types such as ``>>fra<<`` mark the source of a model with several target languages.
    """
    separate = bool(settings.tokenizer.get("separate_vocabs"))
    size = settings.model.get("vocab_size")
    target_size = settings.model.get("decoder_vocab_size") if separate else None
    source = folder.vocabulary("vocab.json")
    target = folder.vocabulary("target_vocab.json") if separate else source
    languages = {name[2:-2]: number for number, name in enumerate(source) if _is_language(name)}
    return ImportedVocabulary(
        family="marian",
        source=_tokenizer(folder, settings, "source.spm", "vocab.json", source, size),
        target=_tokenizer(
            folder,
            settings,
            "target.spm",
            "target_vocab.json" if separate else "vocab.json",
            target,
            size if target_size is None else target_size,
        ),
        languages=languages,
        encoder_input=("target language", "text", "end") if languages else ("text", "end"),
        decoder_input=("start", "text", "end"),
    )


def _tokenizer(
    folder: ModelFolder, settings: Settings, model: str, file: str, vocabulary: list[str], size: object
) -> Tokenizer:
    origin = str(folder.path / file)
    control = set(filter(_is_language, vocabulary))
    types = padded(vocabulary, size, origin)
    special = settings.checked(settings.special("pad"), types, control, origin)
    return with_ids(parse_model(folder.content(model), str(folder.path / model)), types, special, control, origin)


def _is_language(name: str) -> bool:
    return name.startswith(">>") and name.endswith("<<") and len(name) > 4
