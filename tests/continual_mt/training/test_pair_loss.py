from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.training.encoder_cache import encode_sources
from continual_mt.training.pair_loss import PairLoss, token_loss
from continual_mt.training.pair_task import Task

MakeTask = Callable[..., Task]


def test_loss_is_the_smoothed_cross_entropy_of_real_tokens(make_task: MakeTask) -> None:
    task = make_task()
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    batch = make_batch(task.corpus, indices, task.source, task.target)
    found = token_loss(task.model, batch, 0.1)
    expected = 0.0
    for index in indices:
        source, target = task.corpus.source(index).tolist(), task.corpus.target(index).tolist()
        logits = task.model(
            torch.tensor([[*source, task.source.end]]),
            torch.tensor([len(source) + 1]),
            torch.tensor([[task.target.start, *target]]),
        )
        log_probabilities = functional.log_softmax(logits[0], dim=-1)
        right = log_probabilities.gather(1, torch.tensor([*target, task.target.end])[:, None])
        expected -= float(0.9 * right.sum() + 0.1 * log_probabilities.mean(-1).sum())
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_pair_loss_builds_its_batches_from_the_corpus(make_task: MakeTask) -> None:
    task = make_task()
    pair = PairLoss(task.model, task.corpus, task.source, task.target, encoder_frozen=False)
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    batch = make_batch(task.corpus, indices, task.source, task.target)
    assert torch.equal(pair.loss(indices, 0.1), token_loss(task.model, batch, 0.1))
    assert pair.count_tokens(indices) == len(batch.labels)


def test_a_frozen_encoder_has_no_dropout_and_no_gradient(make_task: MakeTask, tmp_path: Path) -> None:
    """Cached or computed, the states of a frozen encoder are the same; a trained encoder has dropout and a gradient."""
    task = make_task()
    task.model.dropout = 0.5
    task.model.requires_grad_(True).train()
    indices = epoch_batches(task.corpus, 300, 0, 0)[0]
    losses, gradients = [], []
    for frozen, encoded in (
        (True, None),
        (True, encode_sources(task.model, task.corpus, task.source, tmp_path)),
        (False, None),
    ):
        torch.manual_seed(1)
        loss = PairLoss(task.model, task.corpus, task.source, task.target, frozen, encoded).loss(indices, 0.1)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(task.model.source.embedding.grad is not None)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] != pytest.approx(losses[1], rel=1e-5)
    assert gradients == [False, False, True]
