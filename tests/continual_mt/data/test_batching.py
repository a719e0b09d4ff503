from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.data import batching
from continual_mt.data.batching import UpdateStream, epoch_batches, make_batch, pad
from continual_mt.data.corpora.corpus import inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.languages import Pair

TokenizeFiles = Callable[[str, str], TokenizedCorpus]


@pytest.fixture(scope="session")
def corpus(tokenize_files: TokenizeFiles) -> TokenizedCorpus:
    return tokenize_files("es", "en")


@settings(max_examples=30)
@given(
    batch_tokens=st.integers(1, 4000),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 1000),
    pool=st.sampled_from([1, 7, 100, 20_000]),
)
def test_an_epoch_has_every_sentence_once_within_the_token_limit(
    corpus: TokenizedCorpus, batch_tokens: int, seed: int, epoch: int, pool: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "POOL_SIZE", pool)
        batches = epoch_batches(corpus, batch_tokens, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(corpus)))
    for lengths in (corpus.source_lengths, corpus.target_lengths):
        for indices in batches:
            assert len(indices) == 1 or int((lengths[indices] + 1).sum()) <= batch_tokens


def test_the_order_depends_only_on_seed_and_epoch(corpus: TokenizedCorpus) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [indices.tolist() for indices in epoch_batches(corpus, 100, seed, epoch)]

    assert order(1, 0) == order(1, 0)
    orders = [order(1, 0), order(1, 1), order(2, 0), order(0, 1)]
    assert all(first != second for n, first in enumerate(orders) for second in orders[:n])
    members = [{frozenset(indices) for indices in epoch} for epoch in orders[:2]]
    assert members[0] != members[1]  # different batches, not only a different order


def test_padding_in_attention_is_limited(corpus: TokenizedCorpus) -> None:
    batches = epoch_batches(corpus, 256, 1, 0)
    padding = []
    for lengths in (corpus.source_lengths + 1, corpus.target_lengths + 1):
        padded = sum(len(indices) * int(lengths[indices].max()) for indices in batches)
        padding.append(1 - int(lengths.sum()) / padded)
    print(f"padding: source {padding[0]:.1%}, target {padding[1]:.1%} of {len(batches)} batches")
    assert padding[0] < 0.15
    assert padding[1] < 0.35  # batches are sorted by the longer side, which here is Spanish


def test_batches_are_full(corpus: TokenizedCorpus) -> None:
    batches = epoch_batches(corpus, 256, 1, 0)
    sides = corpus.source_lengths + 1, corpus.target_lengths + 1
    used = [max(int(lengths[indices].sum()) for lengths in sides) for indices in batches]
    assert np.mean(used) > 0.85 * 256


@settings(max_examples=30)
@given(
    batch_tokens=st.sampled_from([300, 1000, 100_000]),
    accumulate=st.integers(1, 5),
    seed=st.integers(0, 2**31 - 1),
    before=st.integers(0, 40),
)
def test_a_stream_continues_from_any_position(
    corpus: TokenizedCorpus, batch_tokens: int, accumulate: int, seed: int, before: int
) -> None:
    stream = UpdateStream(corpus, batch_tokens, accumulate, seed)
    for _ in range(before):
        next(stream)
    resumed = UpdateStream(corpus, batch_tokens, accumulate, seed, stream.epoch, stream.consumed)
    for _ in range(12):
        first, second = next(stream), next(resumed)
        assert len(first) == accumulate
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert (stream.epoch, stream.consumed) == (resumed.epoch, resumed.consumed)


def test_a_stream_continues_through_epochs(corpus: TokenizedCorpus) -> None:
    """An update may have batches of two epochs; no batch is skipped or repeated."""
    epochs = [epoch_batches(corpus, 700, 3, epoch) for epoch in range(3)]
    expected = [indices.tolist() for epoch in epochs for indices in epoch]
    stream = UpdateStream(corpus, 700, 3, seed=3)
    found = [indices.tolist() for _ in range(len(expected) // 3) for indices in next(stream)]
    assert found == expected[: len(found)]
    assert iter(stream) is stream
    assert stream.epoch == 2


def test_make_batch(corpus: TokenizedCorpus, django_tokenizers: dict[str, Tokenizer]) -> None:
    source, target = django_tokenizers["es"], django_tokenizers["en"]
    indices = np.array([3, 11, 5])
    batch = make_batch(corpus, indices, source, target)
    sources = [[*corpus.source(index).tolist(), source.end] for index in indices]
    inputs = [[target.start, *corpus.target(index).tolist()] for index in indices]
    labels = [[*corpus.target(index).tolist(), target.end] for index in indices]
    assert batch.source_layout.lengths[: len(indices)].tolist() == list(map(len, sources))
    assert batch.target_layout.lengths[: len(indices)].tolist() == list(map(len, inputs))
    for tokens, layout, expected, pad_id in (
        (batch.source, batch.source_layout, sources, source.pad),
        (batch.inputs, batch.target_layout, inputs, target.pad),
    ):
        flat = list(chain.from_iterable(expected))
        assert tokens.tolist() == flat + [pad_id] * (len(tokens) - len(flat))
        assert len(tokens) == len(layout.position_ids) == -(-(len(flat) + 1) // 64) * 64
    assert batch.labels.tolist() == list(chain.from_iterable(labels))
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.labels, batch.labels)


def test_language_tokens_in_a_batch(corpus: TokenizedCorpus, django_tokenizers: dict[str, Tokenizer]) -> None:
    """Around sources; before targets as inputs and as labels."""
    source = django_tokenizers["es"].with_side_tokens(SideTokens(before=(7,), after=(8, 9)))
    target = django_tokenizers["en"].with_side_tokens(SideTokens(before=(5, 6)))
    indices = np.array([3, 0, 8])
    batch = make_batch(corpus, indices, source, target)
    sources = list(chain.from_iterable([7, *corpus.source(i).tolist(), source.end, 8, 9] for i in indices))
    inputs = list(chain.from_iterable([target.start, 5, 6, *corpus.target(i).tolist()] for i in indices))
    labels = list(chain.from_iterable([5, 6, *corpus.target(i).tolist(), target.end] for i in indices))
    assert batch.source[: len(sources)].tolist() == sources
    assert batch.inputs[: len(inputs)].tolist() == inputs
    assert batch.labels.tolist() == labels
    assert batch.source_layout.token_count == len(sources)
    assert batch.target_layout.token_count == len(inputs) == len(labels)


def test_padding_rows_are_limited(corpus: TokenizedCorpus, django_tokenizers: dict[str, Tokenizer]) -> None:
    tokens = rows = 0
    for indices in epoch_batches(corpus, 2048, 1, 0)[:20]:
        batch = make_batch(corpus, indices, django_tokenizers["es"], django_tokenizers["en"])
        for layout in (batch.source_layout, batch.target_layout):
            tokens, rows = tokens + layout.token_count, rows + len(layout.position_ids)
    assert 0.95 < tokens / rows < 1


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=5), st.integers(-1, 9))
def test_pad(rows: list[list[int]], pad_id: int) -> None:
    tokens, lengths = pad(rows, pad_id)
    width = max(map(len, rows), default=0)
    assert tokens.shape == (len(rows), width)
    assert lengths.tolist() == [len(row) for row in rows]
    assert tokens.tolist() == [row + [pad_id] * (width - len(row)) for row in rows]
    assert tokens.dtype == lengths.dtype == torch.int64


def test_a_corpus_of_one_sentence(tmp_path: Path, django_tokenizers: dict[str, Tokenizer]) -> None:
    for name, text in (("es", "Dos hombres juegan.\n"), ("en", "Two men play.\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    files = TextFiles(Pair("es", "en"), tmp_path / "es", tmp_path / "en")
    tokenizers = django_tokenizers["es"], django_tokenizers["en"]
    stream = UpdateStream(tokenize_corpus(files, inspect(files).digest, *tokenizers, tmp_path), 4, 2, seed=1)
    assert [indices.tolist() for indices in next(stream)] == [[0], [0]]
    assert (stream.epoch, stream.consumed) == (1, 1)
