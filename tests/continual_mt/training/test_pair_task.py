from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from continual_mt.training.checkpoint import Progress
from continual_mt.training.pair_task import PairBatches, Task, encoder_frozen
from continual_mt.training.replay import EarlierPair, Replay


@pytest.mark.parametrize(
    ("trained", "frozen"),
    [
        (["target.embedding", "cross_attention.0.query.weight"], True),
        (["source.embedding"], False),
        (["encoder.0.attention.query.lora_a"], False),
        (["source.es.embedding"], False),
    ],
)
def test_states_stay_constant_unless_source_or_encoder_trains(trained: list[str], frozen: bool) -> None:
    assert encoder_frozen(trained) == frozen


def test_replayed_batches_follow_those_of_the_corpus(make_task: Callable[..., Task]) -> None:
    task = make_task(accumulate=2)
    sides = {name: tensor for name, tensor in task.model.state_dict().items() if name.startswith(("source", "target"))}
    earlier = EarlierPair(task.corpus, task.source, task.target, sides)
    task = replace(task, replay=Replay(1 / 3, (earlier,)))
    batches = PairBatches(task, task.model, Progress())
    first = next(batches)
    assert [loss.model is task.model for loss, _ in first] == [True, True, False]
    assert (batches.epoch, batches.consumed) == (0, 2)  # what is replayed is not counted
    second = next(batches)
    resumed = next(PairBatches(task, task.model, Progress(update=1, consumed=2)))
    assert [indices.tolist() for _, indices in resumed] == [indices.tolist() for _, indices in second]
