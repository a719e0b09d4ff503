"""The files of Marian's tokenizer, the only one of transformers with a vocabulary for each side.

It adds one token after a sentence, which it calls the end token. SentencePiece adds others, as its own start and end: a
language's token before the text is its start. One after the end token is the tokenizer's end token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.exported_vocabulary import splitting_model
from continual_mt.interchange.huggingface.export.vocabulary import Vocabularies


def tokenizer_files(model: PairModel, vocabularies: Vocabularies) -> dict[str, bytes | Mapping[str, Any]]:
    """Return the content of each file, by name: bytes, or values for JSON."""
    source, target, special = vocabularies.source, vocabularies.target, vocabularies.special
    source_names, target_names = source.names(special), target.names(special)
    before, after = vocabularies.before, vocabularies.after
    forced = target.tokenizer.side_tokens.before
    settings: dict[str, Any] = {
        "tokenizer_class": "MarianTokenizer",
        "separate_vocabs": True,
        "source_lang": model.source.language,
        "target_lang": model.target.language,
        "model_max_length": model.transformer.architecture.maximum_positions,
        "split_special_tokens": True,  # '</s>' in a text is text, as in ours
        "clean_up_tokenization_spaces": False,
        "pad_token": special.pad,
        "unk_token": special.unknown,
        "eos_token": special.end,
    }
    added = {"add_bos": before is not None, "add_eos": after is not None}
    if any(added.values()):
        settings["sp_model_kwargs"] = {name: True for name, adds in added.items() if adds}
    if after is not None:
        settings |= {"eos_token": source_names[after], "additional_special_tokens": [special.end]}
    return {
        "source.spm": splitting_model(
            source.tokenizer, source_names, start=before, end=source.tokenizer.end if after is not None else None
        ),
        "target.spm": splitting_model(target.tokenizer, target_names, start=forced[0] if forced else None),
        "vocab.json": {source_names[ours]: theirs for theirs, ours in enumerate(source.order)},
        "target_vocab.json": {target_names[ours]: theirs for theirs, ours in enumerate(target.order)},
        "tokenizer_config.json": settings,
    }
