"""The contestant eole, an NMT toolkit (https://github.com/eole-nlp/eole), in a separate environment.

It can freeze only a whole encoder or decoder, so it is measured only with all parameters training. It runs as in its
own recipes, with pre-norm layers and batches counted in padded tokens, on the same pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path

import sentencepiece
import yaml

from benchmarks.tools.measure import Measured
from benchmarks.tools.workload import ARCHITECTURE, SIDES, Workload, bfloat16
from continual_mt.data.batching import epoch_batches
from continual_mt.training.trainer import BETAS

REPORT_EVERY = 10
WARM_UP_REPORTS = 1
REPORT = re.compile(r"Step (\d+)/.*?(\d+)/(\d+) +tok/s")


def write_text(workload: Workload, folder: Path) -> None:
    """Write both sides as space-separated pieces, and their vocabularies."""
    for side in SIDES:
        processor = sentencepiece.SentencePieceProcessor(model_proto=workload.tokenizer(side).model)
        texts = [getattr(pair, side) for pair in workload.text("train").read()]
        lines = [" ".join(pieces) for pieces in processor.encode(texts, out_type=str)]
        (folder / f"{side}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        pieces = sorted({piece for line in lines for piece in line.split()})
        (folder / f"{side}.vocabulary").write_text("".join(f"{piece}\t1\n" for piece in pieces), encoding="utf-8")


def configuration(workload: Workload, folder: Path, updates: int) -> dict[str, object]:
    settings = workload.settings(updates)
    return {
        "src_vocab": str(folder / "source.vocabulary"),
        "tgt_vocab": str(folder / "target.vocabulary"),
        "src_vocab_size": workload.vocabulary,
        "tgt_vocab_size": workload.vocabulary,
        "seed": 1,
        "report_every": REPORT_EVERY,
        "data": {"corpus": {"path_src": str(folder / "source.txt"), "path_tgt": str(folder / "target.txt")}},
        "training": {
            "model_path": str(folder / "model"),
            "world_size": 0,
            "gpu_ranks": [],
            "compute_dtype": "bf16" if bfloat16() else "fp32",
            "batch_type": "tokens",
            "batch_size": workload.batch_tokens,
            "normalization": "tokens",
            "num_workers": 0,
            "accum_count": [1],
            "optim": "adamw",
            "adam_beta1": BETAS[0],
            "adam_beta2": BETAS[1],
            "learning_rate": settings.learning_rate,
            "max_grad_norm": settings.clip,
            "label_smoothing": settings.label_smoothing,
            "dropout": [settings.dropout],
            "attention_dropout": [0.0],
            "log_attention_entropy": False,
            "train_steps": updates,
            "valid_steps": 10 * updates,
            "save_checkpoint_steps": 10 * updates,
        },
        "model": {
            "architecture": "transformer",
            "hidden_size": ARCHITECTURE.width,
            "heads": ARCHITECTURE.heads,
            "transformer_ff": ARCHITECTURE.feed_forward,
            "encoder": {"encoder_type": "transformer", "layers": ARCHITECTURE.encoder_layers},
            "decoder": {"decoder_type": "transformer", "layers": ARCHITECTURE.decoder_layers},
            "embeddings": {"word_vec_size": ARCHITECTURE.width, "position_encoding_type": "SinusoidalInterleaved"},
            "share_decoder_embeddings": True,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", type=Path)
    parser.add_argument("--program", type=Path, required=True, help="the eole program of its environment")
    parser.add_argument("--updates", type=int, default=60)
    options = parser.parse_args()
    workload = Workload.load(options.workload)
    updates = -(-options.updates // REPORT_EVERY) * REPORT_EVERY
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(workload, folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(configuration(workload, folder, updates)))
        threads = str(workload.threads)
        done = subprocess.run(
            [options.program.absolute(), "train", "--config", "config.yaml"],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=False,
        )
    reports = REPORT.findall(done.stdout + done.stderr)
    if done.returncode or len(reports) <= WARM_UP_REPORTS:
        raise SystemExit(f"eole failed:\n{(done.stdout + done.stderr)[-3000:]}")
    rates = [float(target) for _, _, target in reports[WARM_UP_REPORTS:]]
    corpus = workload.corpus()
    batches = len(epoch_batches(corpus, workload.batch_tokens, 1, 0))
    measured = Measured(
        # Reports cover equally many updates, so the mean rate is the harmonic mean.
        target_tokens_per_second=len(rates) / sum(1 / rate for rate in rates),
        padding=None,
        share_in_products=None,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3,
        tokens_an_update=(int(corpus.target_lengths.sum()) + len(corpus)) / batches,
    )
    print(json.dumps(measured.to_json()))


if __name__ == "__main__":
    main()
