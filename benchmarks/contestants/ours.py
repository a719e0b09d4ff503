"""Our own engine, as Ray's workers run it."""

from __future__ import annotations

import json
import time

import torch

from benchmarks.contestants import arguments
from benchmarks.measure import Measured, Meter, peak_memory_mb, share_in_products
from benchmarks.scores import development_bleu
from benchmarks.workload import ARCHITECTURE, Workload, trained_names
from continual_mt.batches import epoch_batches
from continual_mt.training import Task, Trainer
from continual_mt.transformer import Transformer


def main() -> None:
    options = arguments.parse(__doc__)
    workload = Workload.load(options.workload)
    torch.set_num_threads(workload.threads)
    model = Transformer.pointing_at(ARCHITECTURE, workload.first_weights(options.seed))
    corpus = workload.corpus()
    source, target = workload.tokenizer("source"), workload.tokenizer("target")
    names = trained_names(options.scope, options.side)
    trainer = Trainer(Task(model, names, corpus, source, target, workload.settings(options.updates), options.seed))
    meter = Meter()
    for _ in range(options.updates):
        started = time.perf_counter()
        _, tokens = trainer.update()
        meter.update(time.perf_counter() - started, tokens)
    bleu = development_bleu(workload, model) if options.score else None
    for indices in epoch_batches(corpus, workload.batch_tokens, options.seed, 0):
        lengths = corpus.source_lengths[indices] + 1, corpus.target_lengths[indices] + 1
        meter.count(sum(int(side.sum()) for side in lengths), sum(int(side.max()) * len(side) for side in lengths))
    measured = Measured(
        meter.speed(),
        meter.padding(),
        share_in_products(trainer.update),
        peak_memory_mb(),
        sum(meter.target_tokens) / len(meter.target_tokens),
        bleu,
    )
    print(json.dumps(measured.to_json()))


if __name__ == "__main__":
    main()
