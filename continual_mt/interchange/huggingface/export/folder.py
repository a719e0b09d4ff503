"""Exporting the model of a pair to Hugging Face's transformers, which load it with nothing of ours installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.huggingface.export.model_class import MARIAN, Family, choose_family
from continual_mt.interchange.huggingface.export.tokenizer import tokenizer_files
from continual_mt.interchange.huggingface.export.vocabulary import Vocabularies, Vocabulary, vocabularies_of
from continual_mt.interchange.huggingface.export.weights import tensors_of
from continual_mt.interchange.model_card import Provenance, write_card


def export_hugging_face(model: PairModel, folder: Path, provenance: Provenance) -> None:
    """Write weights, configuration, tokenizer and model card to an existing, empty folder.

    Raises IncompatibleError as `check_hugging_face` does, OSError or SafetensorError if a file cannot be written.
    """
    family, vocabularies = check_hugging_face(model)
    source, target = vocabularies.source, vocabularies.target
    tensors = tensors_of(model, family, source, target)
    tied = "lm_head.weight" not in tensors
    weights, configuration = folder / "model.safetensors", folder / "config.json"
    save_file(tensors, weights, metadata={"format": "pt"})
    _write_json(configuration, _configuration(model, family, source, target, tied=tied))
    weights.chmod(configuration.stat().st_mode)  # safetensors lets only the owner read it
    _write_json(folder / "generation_config.json", _generation(model, vocabularies))
    for name, content in tokenizer_files(model, vocabularies).items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            _write_json(folder / name, content)
    write_card(folder, model, provenance, usage=_usage(model, vocabularies), metadata=_METADATA)


def check_hugging_face(model: PairModel) -> tuple[Family, Vocabularies]:
    """Return the class and the vocabularies of the export.

    Raises IncompatibleError if no class of transformers computes the architecture, or if its tokenizer cannot put the
    tokens around sentences that the model needs.
    """
    return choose_family(model), vocabularies_of(model)


def _configuration(
    model: PairModel, family: Family, source: Vocabulary, target: Vocabulary, *, tied: bool
) -> dict[str, Any]:
    architecture = model.transformer.architecture
    both = max(source.size, target.size)
    sizes: dict[str, Any] = {"vocab_size": both}
    if family is MARIAN:
        sizes = {"vocab_size": source.size, "decoder_vocab_size": target.size}
    return {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "is_encoder_decoder": True,
        "dtype": "float32",
        **sizes,
        "d_model": architecture.width,
        "encoder_layers": architecture.encoder_layers,
        "decoder_layers": architecture.decoder_layers,
        "encoder_attention_heads": architecture.heads,
        "decoder_attention_heads": architecture.heads,
        "encoder_ffn_dim": architecture.feed_forward,
        "decoder_ffn_dim": architecture.feed_forward,
        "activation_function": architecture.activation,
        "scale_embedding": architecture.scale_embedding,
        "max_position_embeddings": architecture.maximum_positions,
        "tie_word_embeddings": tied,
        **dict(family.settings),
        "pad_token_id": target.pad,
        "bos_token_id": None,
        "eos_token_id": target.end,
        "decoder_start_token_id": target.start,
        "forced_eos_token_id": None,
    }


def _generation(model: PairModel, vocabularies: Vocabularies) -> dict[str, Any]:
    target = vocabularies.target
    banned = [[target.place[token]] for token in target.tokenizer.side_tokens.banned]
    forced = [target.place[token] for token in target.tokenizer.side_tokens.before]
    return {
        # Our search computes probabilities of the other tokens only, as with this setting.
        **({"bad_words_ids": banned, "renormalize_logits": True} if banned else {}),
        **({"forced_bos_token_id": forced[0]} if forced else {}),
        "decoder_start_token_id": target.start,
        "eos_token_id": target.end,
        "pad_token_id": target.pad,
        "max_length": model.transformer.architecture.maximum_positions,
        "num_beams": 5,
        "length_penalty": 1.0,
        "early_stopping": False,
        "do_sample": False,
    }


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


_METADATA = ("library_name: transformers", "pipeline_tag: translation")


def _usage(model: PairModel, vocabularies: Vocabularies) -> str:
    return f"""
```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
batch = tokenizer(["A sentence in {model.source.language}."], padding=True, return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True))
```

It needs `transformers`, `torch` and `sentencepiece`; a recommendation to install sacremoses can be ignored. Give one
sentence at a time, of at most {model.maximum_tokens} tokens. A sentence that begins with `>>` and has `<<` in it is not
read as text: the tokenizer, Marian's, takes that for the code of a language.
{_tokens(vocabularies)}"""


def _tokens(vocabularies: Vocabularies) -> str:
    """What the user of the folder has to know about tokens of languages."""
    names = vocabularies.source.names(vocabularies.special)
    added = [
        f"`{names[token]}` {place}"
        for token, place in ((vocabularies.before, "before"), (vocabularies.after, "after"))
        if token is not None
    ]
    if not added:
        return ""
    return f"""
The tokenizer itself puts {" and ".join(added)} each sentence: do not write it. It is for translating only: with
`text_target`, it puts tokens of a source around a target.
"""
