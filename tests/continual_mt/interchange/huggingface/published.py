"""Folders in the formats of published models, with small vocabularies that are trained on real text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from continual_mt.artifacts.parent_languages import only_pair
from continual_mt.interchange.huggingface.language_choice import LanguageChoice
from continual_mt.interchange.huggingface.tokenizers.files import SpecialTokens
from continual_mt.interchange.huggingface.tokenizers.language_codes import M2M100, MBART, MBART50, NLLB
from continual_mt.interchange.huggingface.tokenizers.sentencepiece_model import parse_model, with_ids
from continual_mt.interchange.huggingface.tokenizers.vocabulary import Family, ImportedVocabulary

FIRST = ("<s>", "<pad>", "</s>", "<unk>")


def sentencepiece_model(sentences: Iterable[str], size: int, kind: str = "unigram", **options: Any) -> bytes:
    """Train a model as the publishers did: with SentencePiece's own special ids and its default rule, nmt_nfkc."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=size,
        model_type=kind,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """The pieces of a model, without its three special ones."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]


def used_pieces(model: bytes, sentences: Iterable[str]) -> list[str]:
    """The pieces that a text is split into, which is what vocabularies are made of; unknown characters included."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return sorted({piece for sentence in sentences for piece in processor.encode(sentence, out_type=str)})


def sides(vocabulary: ImportedVocabulary, pair: str) -> tuple[Any, Any]:
    """The tokenizers of a pair, which is given by the model's own codes."""
    languages = LanguageChoice(vocabulary, "model").choose(pair, None).languages
    form, chosen = vocabulary.form(), only_pair(languages)
    source = form.source_tokenizer(languages, chosen, vocabulary.source, own=True)
    return source, form.target_tokenizer(languages, chosen, vocabulary.target)


def small_vocabulary(family: Family, languages: Mapping[str, str], **parts: Any) -> ImportedVocabulary:
    """A vocabulary that starts as those of fairseq, with the tokens of languages at its end."""
    model = parse_model((Path(__file__).parents[3] / "data" / "tiny.model").read_bytes(), "tiny")
    types = [*FIRST, *(piece.piece for piece in model.pieces if piece.piece not in FIRST)]
    tokens = list(languages.values())
    special = SpecialTokens(pad="<pad>", unknown="<unk>", start="</s>", end="</s>")
    tokenizer = with_ids(model, [*types, *tokens], special, ["<s>", *tokens], "tiny")
    numbers = {code: len(types) + number for number, code in enumerate(languages)}
    return ImportedVocabulary(family=family, source=tokenizer, target=tokenizer, languages=numbers, **parts)


def numbered(*types: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(types))}


def write(folder: Path, config: Mapping[str, object], files: Mapping[str, bytes | Mapping[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    for name, content in {"config.json": config, **files}.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(data)
    return folder


def write_marian(
    folder: Path, models: tuple[bytes, bytes], source: Mapping[str, int], target: Mapping[str, int] | None = None
) -> Path:
    """Write a Marian folder: of one vocabulary, whose last type is ``<pad>``, or of two."""
    pad = source["<pad>"]
    config = {"model_type": "marian", "vocab_size": len(source), "eos_token_id": 0}
    files: dict[str, bytes | Mapping[str, Any]] = {
        "source.spm": models[0],
        "target.spm": models[1],
        "vocab.json": source,
    }
    if target is None:
        return write(folder, {**config, "pad_token_id": pad, "decoder_start_token_id": pad}, files)
    settings = {"separate_vocabs": True, "tokenizer_class": "MarianTokenizer"}
    files |= {"target_vocab.json": target, "tokenizer_config.json": settings}
    # In the published models of two vocabularies, both padding tokens have the same id.
    config |= {"decoder_vocab_size": len(target), "pad_token_id": pad, "decoder_start_token_id": target["<pad>"]}
    return write(folder, config, files)


def write_mbart(folder: Path, model: bytes, kind: str, codes: Sequence[str]) -> Path:
    """Write a folder of mBART-50 or mBART: ``kind`` is the tokenizer's class."""
    config = {
        "model_type": "mbart",
        "tokenizer_class": kind,
        "vocab_size": len(pieces(model)) + len(FIRST) + len(codes) + 1,
        "pad_token_id": 1,
        "eos_token_id": 2,
        **({"decoder_start_token_id": 2} if kind == "MBart50Tokenizer" else {}),
    }
    return write(folder, config, {"sentencepiece.bpe.model": model})


def write_m2m100(folder: Path, model: bytes, types: Sequence[str], languages: int) -> Path:
    """Write a folder of M2M100, with eight rows of embeddings that no token has."""
    vocabulary = numbered(*FIRST, *types)
    config = {
        "model_type": "m2m_100",
        "vocab_size": len(vocabulary) + languages + 8,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    settings = {"tokenizer_class": "M2M100Tokenizer"}
    files = {"sentencepiece.bpe.model": model, "vocab.json": vocabulary, "tokenizer_config.json": settings}
    return write(folder, config, files)


def write_nllb(
    folder: Path, model: bytes, codes: Sequence[str], files: Sequence[str] = ("model", "json"), **settings: object
) -> Path:
    """Write a folder of NLLB, with two rows of embeddings that no token has."""
    types = [*FIRST, *pieces(model), *codes, "<mask>"]
    config = {
        "model_type": "m2m_100",
        "vocab_size": len(types) + 2,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    contents: dict[str, bytes | Mapping[str, Any]] = {
        "tokenizer_config.json": {"tokenizer_class": "NllbTokenizer", **settings}
    }
    if "model" in files:
        contents["sentencepiece.bpe.model"] = model
    if "json" in files:
        contents["tokenizer.json"] = json.loads(_nllb_json(model, types, codes))
    return write(folder, config, contents)


def write_shared(family: Family, folder: Path, model: bytes, text: Iterable[str], **settings: object) -> Path:
    """Write a folder of a family with one vocabulary for all languages, with the languages of the published models.

    ``text`` is what the vocabulary of M2M100 is made of.
    """
    match family:
        case "mbart50":
            return write_mbart(folder, model, "MBart50Tokenizer", MBART50)
        case "mbart":
            return write_mbart(folder, model, "MBartTokenizer", MBART)
        case "m2m100":
            return write_m2m100(folder, model, used_pieces(model, text), len(M2M100))
        case "nllb":
            return write_nllb(folder, model, NLLB, **settings)  # type: ignore[arg-type]
    raise ValueError(family)


def _nllb_json(model: bytes, types: Sequence[str], codes: Sequence[str]) -> str:
    """``tokenizer.json`` as NLLB's: with the codes in its vocabulary, and merges in the order of their scores."""
    known = dict.fromkeys(pieces(model))
    merges = [
        (piece[:index], piece[index:])
        for piece in known
        for index in range(1, len(piece))
        if piece[:index] in known and piece[index:] in known
    ]
    tokenizer = Tokenizer(BPE(numbered(*types), merges, unk_token="<unk>", fuse_unk=True))
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    rule = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.normalizer = normalizers.Sequence([rule, normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = [AddedToken(name, special=True, normalized=False) for name in (*FIRST, *codes, "<mask>")]
    tokenizer.add_special_tokens(special)
    return str(tokenizer.to_str())
