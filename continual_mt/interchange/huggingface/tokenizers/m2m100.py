"""M2M100: a SentencePiece model, a vocabulary that does not follow its ids, then language tokens such as ``__fr__``."""

from __future__ import annotations

from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.tokenizers import language_codes
from continual_mt.interchange.huggingface.tokenizers.fairseq import SENTENCEPIECE
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import padded, parse_model, with_ids
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary

_CODES = {"m2m100": language_codes.M2M100, "wmt21": language_codes.WMT21}


def read_m2m100(folder: ModelFolder, settings: Settings) -> ImportedVocabulary:
    """Read ``sentencepiece.bpe.model`` and ``vocab.json``. The ids after it are those of the languages.

    ``language_codes`` in the tokenizer's settings selects the list of languages: ``m2m100`` or ``wmt21``.
    """
    origin = str(folder.path / "vocab.json")
    name = settings.tokenizer.get("language_codes", "m2m100")
    if not isinstance(name, str) or name not in _CODES:
        raise IncompatibleError(
            f"{folder.path / 'tokenizer_config.json'}: unknown language_codes {name!r}; expected {', '.join(_CODES)}"
        )
    vocabulary = folder.vocabulary("vocab.json")
    tokens = [f"__{code}__" for code in _CODES[name]]
    if listed := sorted(set(tokens).intersection(vocabulary)):
        raise IncompatibleError(f"{origin}: contains {', '.join(listed)}; expected language tokens only after its ids")
    languages = {code: len(vocabulary) + number for number, code in enumerate(_CODES[name])}
    control = {*tokens, "<s>"}
    types = padded([*vocabulary, *tokens], settings.model.get("vocab_size"), origin)
    special = settings.checked(settings.special("end"), types, control, origin)
    model = parse_model(folder.content(SENTENCEPIECE), str(folder.path / SENTENCEPIECE))
    tokenizer = with_ids(model, types, special, control, origin)
    return ImportedVocabulary(
        family="m2m100",
        source=tokenizer,
        target=tokenizer,
        languages=languages,
        encoder_input=("source language", "text", "end"),
        decoder_input=("start", "target language", "text", "end"),
    )
