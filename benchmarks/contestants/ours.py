"""This project's trainer, used as in Ray's workers."""

from __future__ import annotations

import json
import time

import torch

from benchmarks.contestants import arguments
from benchmarks.tools.measure import Measured, Meter, own_memory_mb, peak_memory_mb, share_in_products
from benchmarks.tools.scores import development_bleu
from benchmarks.tools.workload import ARCHITECTURE, Workload, trained_names
from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.model.transformer import Transformer
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.trainer import Task, Trainer, computation_dtype, encoder_frozen

PADDING_BATCHES = 200


def main() -> None:
    options = arguments.parse(__doc__)
    workload = Workload.load(options.workload)
    torch.set_num_threads(workload.threads)
    model = Transformer.pointing_at(ARCHITECTURE, workload.first_weights(options.seed))
    begun = time.perf_counter()
    corpus = workload.corpus()
    source, target = workload.tokenizer("source"), workload.tokenizer("target")
    names = trained_names(options.scope, options.side)
    settings = workload.settings(options.updates)
    encoded = None
    if encoder_frozen(names):
        casted = model.computing_in(computation_dtype(model.device, settings.precision))
        encoded = encode_sources(casted, corpus, source, options.workload / "cache")
    trainer = Trainer(Task(model, names, corpus, source, target, settings, options.seed, encoded))
    meter, first = Meter(), 0.0
    for _ in range(options.updates):
        started = time.perf_counter()
        _, tokens = trainer.update()
        meter.update(time.perf_counter() - started, tokens)
        first = first or time.perf_counter() - begun
    own_memory = own_memory_mb()
    bleu = development_bleu(workload, model) if options.score else None
    for indices in epoch_batches(corpus, workload.batch_tokens, options.seed, 0)[:PADDING_BATCHES]:
        batch = make_batch(corpus, indices, source, target)
        for layout in (batch.source_layout, batch.target_layout):
            meter.count(layout.token_count, len(layout.position_ids))
    measured = Measured(
        meter.speed(),
        meter.padding(),
        share_in_products(trainer.update),
        peak_memory_mb(),
        sum(meter.target_tokens) / len(meter.target_tokens),
        bleu,
        first,
        own_memory,
    )
    print(json.dumps(measured.to_json()))


if __name__ == "__main__":
    main()
