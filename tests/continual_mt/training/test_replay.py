from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.assembly import assemble
from continual_mt.languages import Pair
from continual_mt.model.architecture import Group, group_names, group_of
from continual_mt.model.initial_values import initial_tensors
from continual_mt.model.scopes import Scope, trainable_names
from continual_mt.model.transformer import Transformer
from continual_mt.training.pair_loss import PairLoss, token_loss
from continual_mt.training.replay import EarlierPair, Replay, ReplayStream
from continual_mt.training.trainer import Task, Trainer, trainable_copy
from tests.continual_mt.training.runs import KilledError, assert_bit_equal, run, stop_at

TokenizeFiles = Callable[[str, str], TokenizedCorpus]
MakeTask = Callable[..., Task]
MakeModule = Callable[..., Module]
MakeAddition = Callable[..., Task]
BATCH_TOKENS, SEED = 300, 3


def side_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if group_of(name) in ("source", "target")}


@pytest.fixture
def earlier_pairs(parent: Parent, make_module: MakeModule, tokenize_files: TokenizeFiles) -> tuple[EarlierPair, ...]:
    """The parent's own pair es-en, and pt-en, which a module brought."""
    module, tensors = make_module("pt-en"), dict(parent.tensors)
    english = parent.target_tokenizer
    return (
        EarlierPair(tokenize_files("es", "en"), parent.source_tokenizer, english, side_tensors(tensors)),
        EarlierPair(
            tokenize_files("pt", "en"), module.new_side.tokenizer, english, side_tensors({**tensors, **module.tensors})
        ),
    )


@pytest.fixture
def make_addition(
    parent: Parent, tokenize_files: TokenizeFiles, django_tokenizers: dict[str, Tokenizer]
) -> MakeAddition:
    """Make the task of adding a pair to the parent: ``make_addition("es-de", "xattn", replay, updates=3)``."""

    def make(
        pair_text: str,
        scope: Scope = "xattn",
        replay: Replay | None = None,
        tensors: dict[str, torch.Tensor] | None = None,
        **changes: object,
    ) -> Task:
        values = {"batch_tokens": BATCH_TOKENS, "accumulate": 1, "warmup": 0, "dropout": 0.0, "precision": "float32"}
        pair = Pair.parse(pair_text)
        side = parent.languages.new_side(pair)
        tokenizers = {"source": django_tokenizers[pair.source], "target": django_tokenizers[pair.target]}
        names = trainable_names(parent.architecture, scope, side)
        sizes = {name: tokenizer.size for name, tokenizer in tokenizers.items()}
        fresh = initial_tensors(parent.architecture, group_names(parent.architecture, side), sizes, seed=1)
        given = trainable_copy(tensors or dict(parent.tensors), names) | fresh
        return Task(
            model=Transformer.pointing_at(parent.architecture, given),
            trainable=names,
            corpus=tokenize_files(pair.source, pair.target),
            source=tokenizers["source"],
            target=tokenizers["target"],
            settings=TrainingSettings.model_validate(values | changes),
            seed=SEED,
            replay=replay or Replay(),
        )

    return make


def mean_loss(model: Transformer, pair: EarlierPair) -> float:
    """Return the loss over a pair's whole corpus, in nats per token."""
    pair_loss = PairLoss(model.with_sides(pair.sides), pair.corpus, pair.source, pair.target, encoder_frozen=True)
    batches = epoch_batches(pair.corpus, 1000, 0, 0)
    with torch.no_grad():
        return sum(float(pair_loss.loss(batch, 0.0)) for batch in batches) / sum(map(pair_loss.count_tokens, batches))


@pytest.mark.parametrize(
    ("share", "accumulate", "counts"),
    [
        (0.5, 2, [2, 2, 2, 2, 2, 2]),
        (0.2, 2, [1, 0, 1, 0, 1, 0]),
        (0.75, 1, [3, 3, 3, 3, 3, 3]),
        (0.25, 1, [0, 1, 0, 0, 1, 0]),
        (0.0, 4, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_share_is_the_share_of_replayed_batches(
    earlier_pairs: tuple[EarlierPair, ...], model: Transformer, share: float, accumulate: int, counts: list[int]
) -> None:
    settings = TrainingSettings(batch_tokens=BATCH_TOKENS, accumulate=accumulate)
    stream = ReplayStream(Replay(share, earlier_pairs), model, True, settings, SEED, 0)
    assert [len(next(stream)) for _ in counts] == counts
    replayed = Replay(share, earlier_pairs).replayed_batches(1000 * accumulate)
    assert replayed / (replayed + 1000 * accumulate) == pytest.approx(share, abs=1e-3)


def test_without_pairs_nothing_is_replayed(model: Transformer) -> None:
    stream = ReplayStream(Replay(0.5), model, True, TrainingSettings(), SEED, 0)
    assert [next(stream) for _ in range(3)] == [[], [], []]


def test_pairs_alternate_and_each_repeats_its_corpus(
    earlier_pairs: tuple[EarlierPair, ...], model: Transformer
) -> None:
    settings = TrainingSettings(batch_tokens=BATCH_TOKENS, accumulate=3)
    stream = ReplayStream(Replay(0.5, earlier_pairs), model, True, settings, SEED, 0)
    drawn = [batch for _ in range(20) for batch in next(stream)]
    for place, pair in enumerate(earlier_pairs):
        mine = [indices.tolist() for _, indices in drawn[place::2]]
        expected = [
            batch.tolist()
            for epoch in (0, 1, 2, 3)
            for batch in epoch_batches(pair.corpus, BATCH_TOKENS, SEED + place + 1, epoch)
        ]
        assert mine == expected[: len(mine)]
        assert len(mine) > len(epoch_batches(pair.corpus, BATCH_TOKENS, SEED + place + 1, 0))
        assert {loss.corpus.key for loss, _ in drawn[place::2]} == {pair.corpus.key}


def test_a_stream_resumes_at_a_given_update(earlier_pairs: tuple[EarlierPair, ...], model: Transformer) -> None:
    settings = TrainingSettings(batch_tokens=BATCH_TOKENS, accumulate=1)
    replay = Replay(0.6, earlier_pairs)
    pair_loss = ReplayStream(replay, model, True, settings, SEED, 0)
    updates = [[indices.tolist() for _, indices in next(pair_loss)] for _ in range(50)]
    later = ReplayStream(replay, model, True, settings, SEED, 37)
    assert [[indices.tolist() for _, indices in next(later)] for _ in range(13)] == updates[37:]


@pytest.mark.parametrize(("pair", "scope", "frozen"), [("de-en", "xattn", True), ("es-de", "body", False)])
def test_replayed_batches_have_dropout(
    make_addition: MakeAddition, earlier_pairs: tuple[EarlierPair, ...], pair: str, scope: Scope, frozen: bool
) -> None:
    """A new source side is no part of an earlier pair, so its encoder is frozen and has no dropout; the rest has."""
    trainer = Trainer(make_addition(pair, scope, Replay(0.5, earlier_pairs), dropout=0.5))
    *_, (replayed, indices) = next(trainer.batches)
    assert replayed.encoder_frozen == frozen
    first, second = (float(replayed.loss(indices, 0.1).detach()) for _ in range(2))
    assert first != second


def test_each_pair_uses_its_own_sides(
    make_addition: MakeAddition, earlier_pairs: tuple[EarlierPair, ...], parent: Parent, make_module: MakeModule
) -> None:
    """The loss of an update equals the sum of the losses of separately assembled models."""
    task = make_addition("es-de", replay=Replay(2 / 3, earlier_pairs))
    expected = 0.0
    module = make_module("pt-en")
    original = Recipe("original", Pair("es", "en"), "p", parent.fingerprint, None, None, None)
    key = ModuleKey("m", module.digest)
    portuguese = replace(original, kind="supervised", pair=Pair("pt", "en"), source=key)
    models = [assemble(recipe, parent, {"m": module}).transformer for recipe in (original, portuguese)]
    own = EarlierPair(task.corpus, task.source, task.target, {})
    for place, (model, pair) in enumerate(zip([task.model, *models], [own, *earlier_pairs], strict=True)):
        indices = epoch_batches(pair.corpus, BATCH_TOKENS, SEED + place, 0)[0]
        batch = make_batch(pair.corpus, indices, pair.source, pair.target)
        expected += float(token_loss(model, batch, task.settings.label_smoothing))
    loss, tokens = Trainer(task).update()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert tokens > max(len(pair.corpus.target_lengths) for pair in earlier_pairs) / 10


@pytest.mark.parametrize("groups", [("cross_attention",), ("encoder", "decoder", "cross_attention")])
def test_replaying_the_same_pair_does_not_change_the_update(
    make_task: MakeTask, earlier_pairs: tuple[EarlierPair, ...], parent: Parent, groups: tuple[Group, ...]
) -> None:
    """Replayed batches double both the summed gradient and the number of tokens that it is divided by."""
    names = tuple(name for group in groups for name in group_names(parent.architecture, group))
    tasks = [make_task(names, batch_tokens=100_000, updates=3) for _ in range(2)]
    tasks[1] = replace(tasks[1], replay=Replay(0.5, earlier_pairs[:1]))
    trainers = [Trainer(task) for task in tasks]
    for _ in range(3):
        (once, tokens), (twice, twice_tokens) = (trainer.update() for trainer in trainers)
        assert (twice, twice_tokens) == (pytest.approx(2 * once, rel=1e-4), 2 * tokens)
    for (name, first), second in zip(tasks[0].model.named_parameters(), tasks[1].model.parameters(), strict=True):
        if not name.endswith("key.bias"):
            torch.testing.assert_close(first, second, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("pair", "scope"), [("de-en", "xattn"), ("es-de", "xattn"), ("es-de", "body")])
def test_replay_trains_only_the_trainable_parameters(
    make_addition: MakeAddition,
    earlier_pairs: tuple[EarlierPair, ...],
    parent: Parent,
    pair: str,
    scope: Scope,
    precision: str,
) -> None:
    task = make_addition(pair, scope, Replay(0.5, earlier_pairs), updates=3, dropout=0.1, precision=precision)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    sides = [{name: tensor.clone() for name, tensor in earlier_pair.sides.items()} for earlier_pair in earlier_pairs]
    run(task, development=lambda model: 0.0)
    for name, parameter in task.model.named_parameters():
        if name not in task.trainable:
            assert torch.equal(parameter, before[name]), name
            assert parameter.grad is None
        elif not name.endswith("key.bias"):
            assert not torch.equal(parameter, before[name]), name
    for earlier_pair, copies in zip(earlier_pairs, sides, strict=True):
        assert all(torch.equal(tensor, copies[name]) for name, tensor in earlier_pair.sides.items())
    assert Parent.from_pieces(parent.pieces()).fingerprint == parent.fingerprint


def test_replay_reduces_forgetting(
    make_task: MakeTask, make_addition: MakeAddition, earlier_pairs: tuple[EarlierPair, ...]
) -> None:
    grown = make_task(updates=80, learning_rate=0.01)
    run(grown, development=lambda model: 0.0)
    tensors = {name: tensor.clone() for name, tensor in grown.model.state_dict().items()}
    original = replace(earlier_pairs[0], sides=side_tensors(tensors))
    lost = {}
    for share in (0.0, 0.5):
        task = make_addition("es-de", "xattn", Replay(share, (original,)), tensors, updates=60, learning_rate=0.01)
        before = mean_loss(task.model, original)
        run(task, development=lambda model: 0.0)
        lost[share] = mean_loss(task.model, original) - before
    assert lost[0.0] > 0.1
    assert lost[0.5] < lost[0.0] / 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_run_resumes_bit_for_bit(
    make_addition: MakeAddition, earlier_pairs: tuple[EarlierPair, ...], tmp_path: Path, precision: str
) -> None:
    """The run passes several epochs of the new corpus and repeats those of the replayed pairs."""

    def task() -> Task:
        settings = {"updates": 20, "accumulate": 2, "validate_every": 7, "warmup": 5, "learning_rate": 0.01}
        return make_addition("es-de", "xattn", Replay(0.6, earlier_pairs), dropout=0.2, precision=precision, **settings)

    run(task(), tmp_path / "whole")
    with pytest.raises(KilledError):
        run(task(), tmp_path / "run", stop=stop_at(10, KilledError))
    torch.manual_seed(99)
    assert not run(task(), tmp_path / "run", stop=stop_at(5)).finished
    torch.manual_seed(98)
    assert run(task(), tmp_path / "run").finished
    assert_bit_equal(tmp_path / "run", tmp_path / "whole")
