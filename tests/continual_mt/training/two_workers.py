"""A worker process of test_distributed.py, started with RANK FOLDER; FOLDER has the parent and the texts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, distributed

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.errors import TrainingError
from continual_mt.languages import Pair
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.joint_model import JointModel
from continual_mt.model.language_sides import stored_names, with_language
from continual_mt.model.scopes import Scope, added_shapes, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.checkpoint import Checkpoint
from continual_mt.training.joint_task import JointPair, JointTask
from continual_mt.training.pair_loss import token_loss
from continual_mt.training.replay import EarlierPair, Replay
from continual_mt.training.trainer import Task, Trainer, train

UPDATES, VALIDATE_EVERY, KILL_AT = 12, 4, 10
LOW_RANK = "lora:rank=4"


class KilledError(Exception):
    pass


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    parent = Parent.from_pieces({path.name: path.read_bytes() for path in (folder / "parent").iterdir()})
    files = TextFiles(parent.pair, folder / "source.txt", folder / "target.txt")
    tokenizers = parent.source_tokenizer, parent.target_tokenizer
    corpus = tokenize_corpus(files, inspect(files).digest, *tokenizers, folder / f"cache{rank}", maximum_tokens=47)
    # One of three batches is replayed, so that one worker has more batches than the other.
    sides = {name: tensor.clone() for name, tensor in parent.tensors.items() if name.startswith(("source", "target"))}
    replay = Replay(1 / 3, (EarlierPair(corpus, *tokenizers, sides),))
    if rank == 0:  # a single worker, before the process group exists
        run(folder / "alone", 0, parent, corpus, dropout=0.0)
        run(folder / "replayed-alone", 0, parent, corpus, dropout=0.0, replay=replay)
        run(folder / "low-rank-alone", 0, parent, corpus, dropout=0.0, scope=LOW_RANK)
        run(folder / "joint-alone", 0, parent, corpus, dropout=0.0, joint=True)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    run(folder / "together", rank, parent, corpus, dropout=0.0)
    run(folder / "replayed-together", rank, parent, corpus, dropout=0.0, replay=replay)
    run(folder / "low-rank-together", rank, parent, corpus, dropout=0.0, scope=LOW_RANK)
    run(folder / "joint-together", rank, parent, corpus, dropout=0.0, joint=True)
    Trainer(make_task(parent, corpus, TrainingSettings()))
    (folder / f"seed.{rank}").write_text(str(torch.initial_seed()))
    run(folder / "whole", rank, parent, corpus, dropout=0.2)
    try:
        run(folder / "killed", rank, parent, corpus, dropout=0.2, kill_at=KILL_AT)
    except KilledError:
        torch.manual_seed(99)
        torch.rand(rank + 1)
        run(folder / "killed", rank, parent, corpus, dropout=0.2)
    for name, changes in (("accumulate", {"accumulate": 3}), ("resume", {})):
        checkpoint = Checkpoint.load(folder / "alone") if name == "resume" else None
        try:
            Trainer(make_task(parent, corpus, TrainingSettings(**changes)), checkpoint)
        except TrainingError as error:
            (folder / f"{name}.{rank}.error").write_text(str(error))
    distributed.destroy_process_group()


def make_task(parent: Parent, corpus: TokenizedCorpus, settings: TrainingSettings, scope: Scope = "scratch") -> Task:
    tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in parent.tensors.items()}
    added = added_shapes(parent.architecture, scope, "source")
    tensors |= initial_tensors(parent.architecture, tuple(added), {"source": 1, "target": 1}, 4, added)
    return Task(
        model=Transformer.pointing_at(parent.architecture, tensors),
        trainable=trainable_names(parent.architecture, scope, "source"),
        corpus=corpus,
        source=parent.source_tokenizer,
        target=parent.target_tokenizer,
        settings=settings,
        seed=3,
    )


def make_joint_task(parent: Parent, corpus: TokenizedCorpus, settings: TrainingSettings) -> JointTask:
    """Two pairs with one body, and each with its own sides, so that an update may have no sentence of a side."""
    pairs = parent.pair, Pair("pt", "de")
    tensors = {name: tensor.clone() for name, tensor in parent.tensors.items()}
    for pair in pairs:
        for end in ENDS:
            names = [name for name in parent.tensors if name.startswith(end)]
            tensors |= {with_language(name, pair.language(end)): parent.tensors[name].clone() for name in names}
    stored = stored_names(parent.architecture, [pair.source for pair in pairs], [pair.target for pair in pairs])
    model = JointModel(parent.architecture, {name: tensors[name] for name in stored}, pairs)
    tokenizers = parent.source_tokenizer, parent.target_tokenizer
    return JointTask(
        model, stored, tuple(JointPair(pair, corpus, *tokenizers, 10, 10) for pair in pairs), settings, seed=3
    )


def run(
    folder: Path,
    rank: int,
    parent: Parent,
    corpus: TokenizedCorpus,
    *,
    dropout: float,
    kill_at: int | None = None,
    replay: Replay | None = None,
    scope: Scope = "scratch",
    joint: bool = False,
) -> None:
    """Train, or resume from the checkpoint in ``folder``; raise KilledError at update ``kill_at``."""
    folder.mkdir(exist_ok=True)
    settings = TrainingSettings(
        updates=UPDATES,
        batch_tokens=300,
        accumulate=2,
        warmup=4,
        learning_rate=0.003,
        dropout=dropout,
        validate_every=VALIDATE_EVERY,
        precision="float32",
    )
    task: Task | JointTask = replace(make_task(parent, corpus, settings, scope), replay=replay or Replay())
    if joint:
        task = make_joint_task(parent, corpus, settings)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            raise KilledError
        return False

    def development(model: Transformer | JointModel) -> float:
        of_pair = model.of(parent.pair) if isinstance(model, JointModel) else model
        batch = make_batch(
            corpus, epoch_batches(corpus, 300, 0, 0)[0], parent.source_tokenizer, parent.target_tokenizer
        )
        with torch.no_grad():
            return -float(token_loss(of_pair, batch, 0.0))

    def save(trainer: Trainer) -> None:
        state = trainer.checkpoint()
        if rank == 0:
            state.save(folder)

    saved = (folder / "state.json").exists()
    train(
        task,
        checkpoint=Checkpoint.load(folder) if saved else None,
        development=development,
        save=save,
        report=lambda report: None,
        stop=stop,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
