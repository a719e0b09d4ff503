from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.initialisation import starting_values
from continual_mt.initialisation.sparse_rows import SparseRows
from continual_mt.initialisation.starting_values import (
    ORIGINS,
    combined,
    equal_pieces,
    evidence_of_text,
    starting_tensors,
    summarize,
)
from continual_mt.initialisation.word_translation import WordTranslations
from continual_mt.model.initial_values import initial_tensors


@pytest.fixture(scope="module")
def table(tokenize_files: Callable[[str, str], TokenizedCorpus], parent: Parent) -> WordTranslations:
    return WordTranslations.count(
        tokenize_files("es", "en"), (parent.source_tokenizer.size, parent.target_tokenizer.size)
    )


def likeliest(evidence: SparseRows, new: Tokenizer, own: Tokenizer, piece: str) -> str:
    columns, values = evidence.row(new.pieces.index(piece))
    return own.pieces[int(columns[values.argmax()])]


def test_evidence_goes_through_the_shared_language_on_both_sides(
    tokenize_files: Callable[[str, str], TokenizedCorpus],
    django_tokenizers: dict[str, Tokenizer],
    parent: Parent,
    table: WordTranslations,
) -> None:
    pt, de, es, en = (django_tokenizers[name] for name in ("pt", "de", "es", "en"))
    source = evidence_of_text(tokenize_files("pt", "en"), "source", (pt.size, en.size), table)
    assert (source.rows, source.width) == (pt.size, es.size)
    assert likeliest(source, pt, es, "▁e") == "▁y"
    target = evidence_of_text(tokenize_files("es", "de"), "target", (es.size, de.size), table)
    assert (target.rows, target.width) == (de.size, en.size)
    assert likeliest(target, de, en, "▁und") == "▁and"


def test_types_start_from_evidence_else_from_equal_pieces_else_from_noise(
    django_tokenizers: dict[str, Tokenizer], parent: Parent
) -> None:
    new, own = django_tokenizers["pt"], parent.source_tokenizer
    same = dict(equal_pieces(new, own))
    assert all(new.pieces[number] == own.pieces[other] for number, other in same.items())
    known = next(iter(same))
    rows, columns, values = (np.array(one) for one in ([known, known], [7, 9], [0.6, 0.2]))
    weights = combined(new, own, SparseRows.of(rows, columns, values, (new.size, own.size)))
    found, shares = weights.rows.row(known)
    assert found.tolist() == [7, 9]
    assert shares.tolist() == pytest.approx([0.9, 0.1])
    assert ORIGINS[weights.origins[known]] == "lexical"
    other = list(same)[1]
    assert weights.rows.row(other)[0].tolist() == [same[other]]
    assert weights.rows.row(new.end)[0].tolist() == [own.end]
    unlike = next(number for number in range(4, new.size) if number not in same)
    assert weights.rows.row(unlike)[0].tolist() == []
    assert [ORIGINS[weights.origins[number]] for number in (other, new.end, unlike)] == ["shared", "shared", "noise"]


def test_values_are_means_as_long_as_their_parts(django_tokenizers: dict[str, Tokenizer], parent: Parent) -> None:
    new, own = django_tokenizers["de"], parent.target_tokenizer
    table, bias = parent.tensors["target.embedding"], torch.arange(own.size, dtype=torch.float32)
    names = ("target.embedding", "target.bias")
    noise = initial_tensors(parent.architecture, names, {"source": 1, "target": new.size}, seed=5)
    rows, columns, values = (np.array(one) for one in ([10, 10, 11], [20, 30, 40], [0.5, 0.5, 1.0]))
    weights = combined(new, own, SparseRows.of(rows, columns, values, (new.size, own.size)))
    found = starting_tensors(weights, {"target.embedding": table, "target.bias": bias}, noise)
    mean = (table[20] + table[30]) / 2
    length = (table[20].norm() + table[30].norm()) / 2
    assert torch.allclose(found["target.embedding"][10], mean / mean.norm() * length, atol=1e-6)
    assert torch.allclose(found["target.embedding"][11], table[40], atol=1e-6)
    assert found["target.bias"][[10, 11]].tolist() == [25.0, 40.0]
    noisy = [number for number in range(new.size) if ORIGINS[weights.origins[number]] == "noise"]
    assert noisy
    assert torch.equal(found["target.embedding"][noisy], noise["target.embedding"][noisy])


def test_blocks_of_a_large_table_change_no_bit(
    django_tokenizers: dict[str, Tokenizer], parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are those of one double-precision copy of the table, however it is divided."""
    new, own = django_tokenizers["de"], parent.target_tokenizer
    table = parent.tensors["target.embedding"]
    noise = initial_tensors(parent.architecture, ("target.embedding",), {"source": 1, "target": new.size}, seed=5)
    chance = np.random.default_rng(3)
    rows = np.repeat(np.arange(10, 60), 12)
    columns = np.concatenate([chance.choice(own.size, 12, replace=False) for _ in range(50)])
    weights = combined(new, own, SparseRows.of(rows, columns, chance.random(600), (new.size, own.size)))
    double, shares = table.double().numpy(), weights.rows.values.astype(np.float64)
    lengths = np.sqrt((double**2).sum(axis=1, keepdims=True))
    mean, length = (
        np.stack([np.bincount(weights.rows.row_numbers(), shares * one[weights.rows.columns]) for one in part.T], 1)
        for part in (double, lengths)
    )
    mean, length = mean[10:60], length[10:60]
    expected = torch.from_numpy(mean * (length / np.sqrt((mean**2).sum(axis=1, keepdims=True)))).float()

    def found() -> tuple[torch.Tensor, object]:
        tensor = starting_tensors(weights, {"target.embedding": table}, noise)["target.embedding"]
        return tensor, summarize(weights, new, own, np.arange(new.size), tensor, table).to_json()

    whole, summary = found()
    assert torch.equal(whole[10:60], expected)
    monkeypatch.setattr(starting_values, "CELLS_AT_ONCE", 500)
    monkeypatch.setattr(starting_values, "_ROWS", 40)
    in_blocks, summary_in_blocks = found()
    assert torch.equal(in_blocks, whole)
    assert summary_in_blocks == summary


def test_a_summary_names_frequent_types_and_what_is_near_them(
    tokenize_files: Callable[[str, str], TokenizedCorpus],
    django_tokenizers: dict[str, Tokenizer],
    parent: Parent,
    table: WordTranslations,
) -> None:
    new, own, corpus = django_tokenizers["pt"], parent.source_tokenizer, tokenize_files("pt", "en")
    evidence = evidence_of_text(corpus, "source", (new.size, parent.target_tokenizer.size), table)
    weights = combined(new, own, evidence)
    noise = initial_tensors(parent.architecture, ("source.embedding",), {"source": new.size, "target": 1}, seed=5)
    tensors = starting_tensors(weights, parent.tensors, noise)
    summary = summarize(
        weights,
        new,
        own,
        corpus.counts("source", new.size),
        tensors["source.embedding"],
        parent.tensors["source.embedding"],
    )
    assert sum(summary.types.values()) == new.size
    assert summary.types["lexical"] > new.size // 2
    assert len(summary.frequent) == 10
    assert all(len(one.nearest) == 3 and one.origin == "lexical" for one in summary.frequent)
    assert summary.frequent[0].piece in new.pieces
    first, second = summary.lines()
    assert first.startswith(f"its {new.size} types start {summary.types['lexical']} from word translations, ")
    assert second.startswith("the most frequent, each with the parent's nearest: ")
    assert summary.to_json()["types"] == summary.types
