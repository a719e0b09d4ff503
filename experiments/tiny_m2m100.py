"""A tiny M2M100 of three languages, trained by transformers on real text, with a tokenizer as published models have.

    python -m experiments.tiny_m2m100 --data FOLDER m2m100-tiny

``FOLDER`` has the folder ``multi30k``: see ``experiments/README.md``. ``continual-mt parent import`` reads the result
like a published model of this family. Training runs on one thread.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

from experiments.texts import read

LANGUAGES = ("de", "en", "fr")
TYPES = 8_000
SHAPE: dict[str, Any] = {
    "d_model": 192,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "max_position_embeddings": 128,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}
SENTENCES, PEAK, WARMUP = 96, 2e-3, 100
Batch = dict[str, torch.Tensor]


def write_tokenizer(texts: Sequence[Sequence[str]], folder: Path) -> M2M100Tokenizer:
    """Train the vocabulary of all languages, and write it as M2M100's tokenizer reads it."""
    model = io.BytesIO()
    sentences = (line for lines in zip(*texts, strict=True) for line in lines)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences,
        model_writer=model,
        model_type="bpe",
        vocab_size=TYPES,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    vocabulary = {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "M2M100Tokenizer"}))
    return M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))


def batches(texts: Mapping[str, Sequence[str]], tokenizer: M2M100Tokenizer) -> Iterator[Batch]:
    """Yield batches of one direction each, the directions in turn, forever."""
    generator = random.Random(1)
    count = len(texts[LANGUAGES[0]])
    while True:
        for source, target in permutations(LANGUAGES, 2):
            rows = generator.sample(range(count), SENTENCES)
            tokenizer.src_lang, tokenizer.tgt_lang = source, target
            yield tokenizer(
                [texts[source][row] for row in rows],
                text_target=[texts[target][row] for row in rows],
                padding=True,
                truncation=True,
                max_length=64,
                return_tensors="pt",
            )


def train(model: Any, stream: Iterator[Batch], updates: int, pad: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    for update in range(1, updates + 1):
        rate = min(update / WARMUP, (updates - update + 1) / max(1, updates - WARMUP))
        for group in optimizer.param_groups:
            group["lr"] = PEAK * rate
        batch = next(stream)
        labels = batch["labels"]
        logits = model(**batch).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if update % 50 == 0:
            print(f"update {update} of {updates}: loss {float(loss):.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=900)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    texts = {language: read(options.data / "multi30k" / f"train.{language}") for language in LANGUAGES}
    tokenizer = write_tokenizer(list(texts.values()), options.folder)
    # The class knows the hundred languages of the published models; the other 97 are never trained here.
    size = max(tokenizer.get_lang_id(code) for code in tokenizer.lang_code_to_token) + 1
    config = M2M100Config(
        vocab_size=size, pad_token_id=1, eos_token_id=2, bos_token_id=0, decoder_start_token_id=2, **SHAPE
    )
    model = M2M100ForConditionalGeneration(config)
    train(model, batches(texts, tokenizer), options.updates, tokenizer.pad_token_id)
    model.save_pretrained(options.folder)


if __name__ == "__main__":
    main()
