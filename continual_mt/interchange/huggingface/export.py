"""Exporting the model of a pair to Hugging Face's transformers, which load it with nothing of ours installed.

The class that computes the architecture is chosen, and the tokenizer is always Marian's, the only one of transformers
with a vocabulary for each side. What no class computes is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from continual_mt.data.tokenizer import TYPE_WITHOUT_PIECE, VOCABULARY_END, Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.huggingface.weights import LEARNED_OFFSET, hugging_face_names
from continual_mt.interchange.model_card import Provenance, write_card
from continual_mt.languages import SideName
from continual_mt.model.architecture import parameter_names
from continual_mt.model.embeddings import sinusoidal_positions

_STACKS: dict[SideName, str] = {"source": "model.encoder", "target": "model.decoder"}


@dataclass(frozen=True)
class _Family:
    """A class of transformers. ``position_offset`` counts the rows of its position tables before the first one used."""

    model_type: str
    model_class: str
    position_offset: int = 0
    settings: tuple[tuple[str, Any], ...] = ()


_MARIAN = _Family("marian", "MarianMTModel", settings=(("share_encoder_decoder_embeddings", False),))
# By the place of the norms, and whether there are final norms and norms of embeddings.
_FAMILIES: Mapping[tuple[str, bool, bool], _Family] = {
    ("post", False, False): _MARIAN,
    ("post", False, True): _Family("bart", "BartForConditionalGeneration", LEARNED_OFFSET),
    ("pre", True, True): _Family("mbart", "MBartForConditionalGeneration", LEARNED_OFFSET),
    # Its name is that of chatbots, but it is a plain pre-norm Transformer with a bias of the output.
    ("pre", True, False): _Family(
        "blenderbot", "BlenderbotForConditionalGeneration", settings=(("encoder_no_repeat_ngram_size", 0),)
    ),
}


def export_hugging_face(model: PairModel, folder: Path, provenance: Provenance) -> None:
    """Write weights, configuration, tokenizer and model card to an existing, empty folder.

    Raises IncompatibleError if no class of transformers computes the architecture, OSError or SafetensorError if a file
    cannot be written.
    """
    family = choose_family(model)
    source, target = _Vocabulary(model.source.tokenizer), _Vocabulary(model.target.tokenizer)
    if source.special_ids != target.special_ids:
        source, target = source.specials_first(), target.specials_first()
    tensors = _tensors(model, family, source, target)
    tied = "lm_head.weight" not in tensors
    weights, configuration = folder / "model.safetensors", folder / "config.json"
    save_file(tensors, weights, metadata={"format": "pt"})
    _write_json(configuration, _configuration(model, family, source, target, tied=tied))
    weights.chmod(configuration.stat().st_mode)  # safetensors lets only the owner read it
    _write_json(folder / "generation_config.json", _generation(model, target))
    _write_tokenizer(model, folder, source, target)
    write_card(folder, model, provenance, usage=_usage(model), metadata=_METADATA)


def choose_family(model: PairModel) -> _Family:
    """Return the class of transformers that computes the model. Raises IncompatibleError if no class does."""
    architecture = model.transformer.architecture
    family = _FAMILIES.get((architecture.norm, architecture.final_norm, architecture.embedding_norm))
    problem = None
    if family is None:
        problem = (
            f"with norm {architecture.norm}, final_norm {_word(architecture.final_norm)} and embedding_norm "
            f"{_word(architecture.embedding_norm)}"
        )
    elif family is _MARIAN and (architecture.positions, architecture.position_offset) != ("sinusoidal", 0):
        problem = (
            f"with norm post, no norms of embeddings, and positions {architecture.positions} from number "
            f"{architecture.position_offset}"
        )
    if others := sorted(set(model.transformer.state_dict()) - set(parameter_names(architecture))):
        raise IncompatibleError(
            f"{model.pair}: has tensors that no class of transformers computes with, such as {others[0]}"
        )
    if family is None or problem:
        raise IncompatibleError(
            f"{model.pair}: transformers has no class that computes an architecture {problem}. "
            "Fix: --format ctranslate2, which computes all"
        )
    return family


def _word(value: bool) -> str:
    return str(value).lower()


@dataclass(frozen=True)
class _SpecialNames:
    """What special tokens are called in the files of Marian's tokenizer; None is the name that the piece has."""

    pad: str
    unknown: str
    end: str
    start: str | None

    @classmethod
    def of(cls, *vocabularies: _Vocabulary) -> _SpecialNames:
        """Return the usual names, with a space in those that a text could spell: no piece has one."""

        def safe(name: str) -> str:
            return f"{name[:-1]} >" if any(one.can_spell(name) for one in vocabularies) else name

        return cls(safe("<pad>"), "<unk>", safe("</s>"), safe("<s>"))


class _Vocabulary:
    """A side's vocabulary in the order in which it is exported: ``order`` are our ids, by exported id."""

    def __init__(self, tokenizer: Tokenizer, order: list[int] | None = None) -> None:
        self.tokenizer = tokenizer
        self.order = list(range(tokenizer.size)) if order is None else order
        self.size = tokenizer.size
        place = {ours: theirs for theirs, ours in enumerate(self.order)}
        self.start, self.end = place[tokenizer.start], place[tokenizer.end]
        self.pad, self.unknown = place[tokenizer.pad], place[tokenizer.unknown]

    @property
    def special_ids(self) -> tuple[int, int, int]:
        """The ids for which Marian's tokenizer has one name and one number for both sides."""
        return self.pad, self.unknown, self.end

    def specials_first(self) -> _Vocabulary:
        first = (self.tokenizer.pad, self.tokenizer.unknown, self.tokenizer.end)
        return _Vocabulary(self.tokenizer, list(dict.fromkeys((*first, *range(self.size)))))

    def can_spell(self, name: str) -> bool:
        """Whether a text can have ``name`` as an unknown piece, which Marian's tokenizer takes for that token."""
        spelled = [ours for ours in self.tokenizer.encode(name) if self.tokenizer.pieces[ours] != "▁"]
        return spelled == [self.tokenizer.unknown]

    def ids(self, names: _SpecialNames) -> dict[str, int]:
        """The id of each piece, by these names of the special ones."""
        special = {self.start: names.start, self.pad: names.pad, self.unknown: names.unknown, self.end: names.end}
        return {special.get(i) or self.tokenizer.pieces[ours]: i for i, ours in enumerate(self.order)}

    def rows(self, table: Tensor, size: int, fill: float = 0.0) -> Tensor:
        """Return the rows of a table in the exported order, with as many more as make up ``size``."""
        result = torch.full((size, *table.shape[1:]), fill)
        result[: self.size] = table[self.order]
        return result


def _tensors(model: PairModel, family: _Family, source: _Vocabulary, target: _Vocabulary) -> dict[str, Tensor]:
    architecture = model.transformer.architecture
    ours = {name: tensor.detach().cpu().float() for name, tensor in model.transformer.state_dict().items()}
    names = hugging_face_names(architecture)
    other = {f"{side}.{name}" for side in _STACKS for name in ("embedding", "positions", "bias", "output")}
    tensors = {theirs: ours[name].contiguous() for name, theirs in names.items() if name not in other}
    if family is not _MARIAN:
        for side, stack in _STACKS.items():
            learned = ours.get(f"{side}.positions")
            table = sinusoidal_positions(architecture, torch.device("cpu")) if learned is None else learned
            before = torch.zeros(family.position_offset, architecture.width)
            tensors[f"{stack}.embed_positions.weight"] = torch.cat([before, table])
    return tensors | _token_tables(ours, family, source, target)


def _token_tables(
    ours: Mapping[str, Tensor], family: _Family, source: _Vocabulary, target: _Vocabulary
) -> dict[str, Tensor]:
    """The tables of tokens: one a side for Marian; elsewhere tables of one size, whose further rows are never chosen.

    The other classes share one table if ``tie_word_embeddings`` is true, as in their own models: that is used if both
    sides have the same table and vocabulary.
    """
    output = ours.get("target.output")
    sizes = (source.size, target.size) if family is _MARIAN else (max(source.size, target.size),) * 2
    encoder = source.rows(ours["source.embedding"], sizes[0])
    decoder = target.rows(ours["target.embedding"], sizes[1])
    bias = target.rows(ours["target.bias"], sizes[1], fill=-torch.inf)
    tables = {"final_logits_bias": bias[None]}
    is_shared = family is not _MARIAN and output is None and torch.equal(encoder, decoder)
    if is_shared:
        return tables | {"model.shared.weight": encoder}
    tables |= {"model.encoder.embed_tokens.weight": encoder, "model.decoder.embed_tokens.weight": decoder}
    if family is not _MARIAN:
        tables["model.shared.weight"] = torch.zeros_like(encoder)  # loaded, but used only if tables are tied
    if output is not None:
        tables["lm_head.weight"] = target.rows(output, sizes[1])
    elif family is not _MARIAN:
        tables["lm_head.weight"] = decoder.clone()
    return tables


def _configuration(
    model: PairModel, family: _Family, source: _Vocabulary, target: _Vocabulary, *, tied: bool
) -> dict[str, Any]:
    architecture = model.transformer.architecture
    both = max(source.size, target.size)
    sizes: dict[str, Any] = {"vocab_size": both}
    if family is _MARIAN:
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


def _generation(model: PairModel, target: _Vocabulary) -> dict[str, Any]:
    banned = [[target.order.index(token)] for token in target.tokenizer.side_tokens.banned]
    return {
        **({"bad_words_ids": banned} if banned else {}),
        "decoder_start_token_id": target.start,
        "eos_token_id": target.end,
        "pad_token_id": target.pad,
        "max_length": model.transformer.architecture.maximum_positions,
        "num_beams": 5,
        "length_penalty": 1.0,
        "early_stopping": False,
        "do_sample": False,
    }


def _write_tokenizer(model: PairModel, folder: Path, source: _Vocabulary, target: _Vocabulary) -> None:
    (folder / "source.spm").write_bytes(_splitting_model(source.tokenizer))
    (folder / "target.spm").write_bytes(_splitting_model(target.tokenizer))
    names = _SpecialNames.of(source, target)
    _write_json(folder / "vocab.json", source.ids(names))
    # SentencePiece, which writes the target's text, knows the start by the name of its piece only.
    _write_json(folder / "target_vocab.json", target.ids(replace(names, start=None)))
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "separate_vocabs": True,
        "source_lang": model.source.language,
        "target_lang": model.target.language,
        "model_max_length": model.transformer.architecture.maximum_positions,
        "split_special_tokens": True,  # '</s>' in a text is text, as in ours
        "clean_up_tokenization_spaces": False,
        "pad_token": names.pad,
        "unk_token": names.unknown,
        "eos_token": names.end,
    }
    _write_json(folder / "tokenizer_config.json", settings)


def _splitting_model(tokenizer: Tokenizer) -> bytes:
    """Return the SentencePiece model without the types that it has no piece of: Marian's vocabulary has those."""
    if not tokenizer.looks_pieces_up:
        return tokenizer.model
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)  # type: ignore[attr-defined]
    control = proto.SentencePiece.CONTROL
    kept = [
        piece
        for piece in proto.pieces
        if piece.type != control or (piece.score != TYPE_WITHOUT_PIECE and piece.piece != VOCABULARY_END)
    ]
    del proto.pieces[:]
    proto.pieces.extend(kept)
    model: bytes = proto.SerializeToString()
    return model


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


_METADATA = ("library_name: transformers", "pipeline_tag: translation")


def _usage(model: PairModel) -> str:
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
"""
