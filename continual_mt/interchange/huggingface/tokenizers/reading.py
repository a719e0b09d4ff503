"""Read the vocabulary of a model's folder, whatever its family."""

from __future__ import annotations

from pathlib import Path

from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.fairseq import read_fairseq
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.m2m100 import read_m2m100
from continual_mt.interchange.huggingface.tokenizers.marian import read_marian
from continual_mt.interchange.huggingface.tokenizers.vocabulary import Family, ImportedVocabulary

FAMILIES: dict[str, Family] = {
    "MarianTokenizer": "marian",
    "MBartTokenizer": "mbart",
    "MBart50Tokenizer": "mbart50",
    "M2M100Tokenizer": "m2m100",
    "NllbTokenizer": "nllb",
}
_MODEL_TYPES: dict[str, tuple[Family, ...]] = {
    "marian": ("marian",),
    "mbart": ("mbart", "mbart50"),
    "m2m_100": ("m2m100", "nllb"),
}


def read_vocabulary(folder: Path) -> ImportedVocabulary:
    """Read the tokenizer files of a local Hugging Face folder.

    Raises:
        IncompatibleError: a file is missing, the family is not one of FAMILIES, or files do not fit together: ids that
            are not 0, 1, 2 and so on, or a vocabulary that does not fit the embeddings of ``config.json``; or the
            tokenizer adds tokens to a text or samples.
        CorruptionError: a file is not what its name says.
        StorageError: a file cannot be read.
    """
    if not folder.is_dir():
        raise IncompatibleError(f"{folder}: not a folder; expected a local folder with a Hugging Face model")
    files = ModelFolder(folder)
    settings = Settings.read(files)
    family = _family(files, settings)
    if family == "marian":
        found = read_marian(files, settings)
    elif family == "m2m100":
        found = read_m2m100(files, settings)
    else:
        found = read_fairseq(files, settings, family)
    settings.check_processing(str(folder))
    settings.check_added(found.source.pieces, str(folder))
    return found


def _family(folder: ModelFolder, settings: Settings) -> Family:
    model_type = settings.model.get("model_type")
    families = _MODEL_TYPES.get(model_type, ()) if isinstance(model_type, str) else ()
    if not families:
        raise IncompatibleError(
            f"{folder.path}: the model_type {model_type!r} is not supported; expected {', '.join(_MODEL_TYPES)}"
        )
    name = settings.tokenizer_class
    if name is None:
        is_nllb = model_type == "m2m_100" and not folder.has("vocab.json")
        return "nllb" if is_nllb else families[0]
    if (family := FAMILIES.get(name)) not in families:
        expected = (known for known, family in FAMILIES.items() if family in families)
        raise IncompatibleError(
            f"{folder.path}: the tokenizer {name} is not supported for {model_type}; expected {', '.join(expected)}"
        )
    return family
