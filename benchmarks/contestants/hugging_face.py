"""The contestant Hugging Face's Seq2SeqTrainer, by default or ``--tuned`` (eager attention, grouped by length).

Both use bfloat16 where the machine supports it.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import MarianConfig, MarianMTModel, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

from benchmarks.contestants import arguments
from benchmarks.tools.measure import Measured, Meter, peak_memory_mb, share_in_products
from benchmarks.tools.scores import development_bleu
from benchmarks.tools.workload import ARCHITECTURE, Workload, bfloat16, trained_names
from continual_mt.data.batching import epoch_batches
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.interchange.huggingface.weights import from_hugging_face, hugging_face_names
from continual_mt.model.architecture import Architecture
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import BETAS, EPSILON

IGNORED = -100


def marian(
    source: Tokenizer,
    target: Tokenizer,
    tensors: Mapping[str, Tensor],
    attention: str,
    architecture: Architecture = ARCHITECTURE,
) -> MarianMTModel:
    """Their model with our weights."""
    config = MarianConfig(
        vocab_size=source.size,
        decoder_vocab_size=target.size,
        share_encoder_decoder_embeddings=False,
        d_model=architecture.width,
        encoder_layers=architecture.encoder_layers,
        decoder_layers=architecture.decoder_layers,
        encoder_attention_heads=architecture.heads,
        decoder_attention_heads=architecture.heads,
        encoder_ffn_dim=architecture.feed_forward,
        decoder_ffn_dim=architecture.feed_forward,
        activation_function=architecture.activation,
        scale_embedding=architecture.scale_embedding,
        max_position_embeddings=architecture.maximum_positions,
        pad_token_id=target.pad,
        eos_token_id=target.end,
        decoder_start_token_id=target.start,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config)
    model.set_attn_implementation(attention)
    theirs = model.state_dict()
    for name, their_name in hugging_face_names(architecture).items():
        theirs[their_name].copy_(tensors[name].view_as(theirs[their_name]))
    return model


class Collator:
    """Pads a batch and counts real and padded tokens."""

    def __init__(self, workload: Workload, meter: Meter) -> None:
        self._source, self._target = workload.tokenizer("source"), workload.tokenizer("target")
        self._meter = meter
        self.tokens = 0

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        sources = [torch.tensor(item["input_ids"]) for item in items]
        labels = [torch.tensor(item["labels"]) for item in items]
        source = torch.nn.utils.rnn.pad_sequence(sources, True, self._source.pad)
        label = torch.nn.utils.rnn.pad_sequence(labels, True, IGNORED)
        lengths = torch.tensor([len(ids) for ids in sources])
        real = sum(map(len, sources)) + sum(map(len, labels))
        self._meter.count(real, source.numel() + label.numel())
        self.tokens = sum(map(len, labels))
        start = torch.full((len(items), 1), self._target.start)
        inputs = torch.cat([start, label[:, :-1].masked_fill(label[:, :-1] == IGNORED, self._target.pad)], dim=1)
        mask = (torch.arange(source.shape[1])[None] < lengths[:, None]).long()
        return {"input_ids": source, "attention_mask": mask, "decoder_input_ids": inputs, "labels": label}


class Clock(TrainerCallback):
    """Times whole updates, data loading included."""

    def __init__(self, meter: Meter, collator: Collator) -> None:
        self._meter, self._collator, self._last = meter, collator, time.perf_counter()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = time.perf_counter()
        self._meter.update(now - self._last, self._collator.tokens)
        self._last = now


def main() -> None:
    options = arguments.parse(__doc__)
    workload = Workload.load(options.workload)
    torch.set_num_threads(workload.threads)
    source, target = workload.tokenizer("source"), workload.tokenizer("target")
    model = marian(source, target, workload.first_weights(options.seed), "eager" if options.tuned else "sdpa")
    names = {hugging_face_names(ARCHITECTURE)[name] for name in trained_names(options.scope, options.side)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    corpus, meter = workload.corpus(), Meter()
    data = [
        {
            "input_ids": [*corpus.source(i).tolist(), source.end],
            "labels": [*corpus.target(i).tolist(), target.end],
            "length": int(corpus.source_lengths[i]),
        }
        for i in range(len(corpus))
    ]
    collator = Collator(workload, meter)
    settings = workload.settings(options.updates)
    with tempfile.TemporaryDirectory() as folder:
        training = Seq2SeqTrainingArguments(
            output_dir=folder,
            max_steps=options.updates,
            # The mean number of sentences in our batches, so that updates have the same size.
            per_device_train_batch_size=round(len(corpus) / len(epoch_batches(corpus, workload.batch_tokens, 1, 0))),
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            adam_epsilon=EPSILON,
            label_smoothing_factor=settings.label_smoothing,
            max_grad_norm=settings.clip,
            train_sampling_strategy="group_by_length" if options.tuned else "random",
            bf16=bfloat16(),
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            seed=options.seed,
        )
        trainer = Seq2SeqTrainer(
            model=model,
            args=training,
            train_dataset=data,
            data_collator=collator,
            callbacks=[Clock(meter, collator)],
        )
        trainer.train()
    bleu = development_bleu(workload, Transformer.pointing_at(*from_hugging_face(model))) if options.score else None
    batches = iter(trainer.get_train_dataloader())
    model.train()
    optimizer = trainer.optimizer
    assert optimizer is not None

    def update() -> None:
        trainer.training_step(model, next(batches))
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()

    measured = Measured(
        meter.speed(),
        meter.padding(),
        share_in_products(update),
        peak_memory_mb(),
        sum(meter.target_tokens) / len(meter.target_tokens),
        bleu,
    )
    print(json.dumps(measured.to_json()))


if __name__ == "__main__":
    main()
