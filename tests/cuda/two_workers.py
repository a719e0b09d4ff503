"""A worker process of test_two_workers.py, started with RANK FOLDER DEVICE; FOLDER has the parent and the texts."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed

from continual_mt.artifacts.parent import Parent
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.model.architecture import parameter_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.trainer import Task, Trainer
from tests.cuda.conftest import settings

UPDATES = 6


def main(rank: int, folder: Path, device: torch.device) -> None:
    torch.set_num_threads(1)
    parent = Parent.from_pieces({path.name: path.read_bytes() for path in (folder / "parent").iterdir()})
    files = TextFiles(parent.pair, folder / parent.pair.source, folder / parent.pair.target)
    tokenizers = parent.source_tokenizer, parent.target_tokenizer
    corpus = tokenize_corpus(files, inspect(files).digest, *tokenizers, folder / f"cache{rank}", maximum_tokens=47)
    if rank == 0:  # before the group exists
        train(parent, corpus, device, folder / "alone")
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    train(parent, corpus, device, folder / f"together{rank}")
    distributed.destroy_process_group()


def train(parent: Parent, corpus: TokenizedCorpus, device: torch.device, folder: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in parent.tensors.items()}
    model = Transformer.pointing_at(parent.architecture, tensors).to(device)
    chosen = settings(updates=UPDATES, accumulate=2)
    names = parameter_names(parent.architecture)
    trainer = Trainer(Task(model, names, corpus, parent.source_tokenizer, parent.target_tokenizer, chosen, seed=3))
    for _ in range(UPDATES):
        trainer.update()
    folder.mkdir()
    trainer.checkpoint().save(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), torch.device(sys.argv[3]))
