"""IBM model 1 against a plain implementation."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from continual_mt.artifacts.parent import Parent
from continual_mt.data.token_files import Skipped, write_arrays, write_summary
from continual_mt.data.tokenized_corpus import TokenizedCorpus
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.initialisation import word_translation
from continual_mt.initialisation.word_translation import WordTranslations, translation_probabilities
from continual_mt.languages import SideName

Cells = dict[tuple[int, int], float]


def plain_model_1(corpus: TokenizedCorpus, given_side: SideName, rounds: int) -> Cells:
    """p(other | given), as the paper's equations say, in dictionaries."""
    pairs = [(list(map(int, corpus.source(i))), list(map(int, corpus.target(i)))) for i in range(len(corpus))]
    pairs = pairs if given_side == "source" else [(target, source) for source, target in pairs]
    table: Cells = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: Cells = defaultdict(float)
        for givens, others in pairs:
            for other in others:
                total = sum(table[one, other] for one in givens)
                for one in givens:
                    counts[one, other] += table[one, other] / total
        totals: dict[int, float] = defaultdict(float)
        for (one, _), count in counts.items():
            totals[one] += count
        table = defaultdict(float, {(one, other): count / totals[one] for (one, other), count in counts.items()})
    return table


@pytest.mark.parametrize("given_side", ["source", "target"])
def test_types_that_do_not_occur_change_nothing(
    given_side: SideName, tokenize_files: Callable[[str, str], TokenizedCorpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large vocabulary, only the types that occur are counted."""
    corpus, sizes = tokenize_files("pt", "en"), (3000, 5000)
    plain = translation_probabilities(corpus, given_side, sizes, rounds=2)
    for most in (4000, 1000):  # one side has more, then both have
        monkeypatch.setattr(word_translation, "MOST_TYPES", most)
        found = translation_probabilities(corpus, given_side, sizes, rounds=2)
        assert (found.rows, found.width) == sizes
        assert found.offsets.tolist() == plain.offsets.tolist()
        assert found.columns.tolist() == plain.columns.tolist()
        assert found.values.tolist() == plain.values.tolist()


@pytest.mark.parametrize("given_side", ["source", "target"])
def test_it_is_model_1(
    given_side: SideName,
    tokenize_files: Callable[[str, str], TokenizedCorpus],
    django_tokenizers: dict[str, Tokenizer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a table and its links do not fit at once, and the rows of one type are counted in several parts."""
    monkeypatch.setattr(word_translation, "CELLS_AT_ONCE", 3000)
    monkeypatch.setattr(word_translation, "_LINKS_AT_ONCE", 500)
    corpus = tokenize_files("pt", "en")
    sizes = django_tokenizers["pt"].size, django_tokenizers["en"].size
    sizes = sizes if given_side == "source" else (sizes[1], sizes[0])
    rounds: list[int] = []
    found = translation_probabilities(corpus, given_side, sizes, rounds=3, progress=rounds.append)
    expected = plain_model_1(corpus, given_side, rounds=3)
    assert rounds == [1, 2, 3]
    assert (found.rows, found.width) == sizes
    assert len(found.values) > 500
    for row, column, value in zip(found.row_numbers(), found.columns, found.values, strict=True):
        assert value == pytest.approx(expected[int(row), int(column)], rel=1e-3)
    best: dict[int, float] = defaultdict(float)
    for (row, _), value in expected.items():
        best[row] = max(best[row], value)
    for row, value in best.items():
        columns, values = found.row(row)
        assert values.max() == pytest.approx(value, rel=1e-3), row
        assert len(columns) <= word_translation.KEPT


def test_equal_text_gives_equal_bytes_and_a_large_text_is_sampled(
    tokenize_files: Callable[[str, str], TokenizedCorpus], parent: Parent
) -> None:
    corpus = tokenize_files("es", "en")
    sizes = parent.source_tokenizer.size, parent.target_tokenizer.size
    first, again = (WordTranslations.count(corpus, sizes).to_bytes() for _ in range(2))
    assert first == again
    links = int((corpus.source_lengths.astype(int) * corpus.target_lengths).sum())
    sampled, other = (
        translation_probabilities(corpus, "source", sizes, most_links=links // 3, seed=seed) for seed in (1, 2)
    )
    whole = translation_probabilities(corpus, "source", sizes)
    assert len(sampled.values) < len(whole.values)
    assert sampled.values.tolist() != other.values.tolist()


def test_the_bytes_are_those_of_every_machine(tmp_path: Path) -> None:
    """The table's digest is part of the identity of additions."""
    generator = random.Random(1)
    sentences = [[generator.randrange(40) ** 2 // 40 for _ in range(generator.randint(1, 9))] for _ in range(600)]
    translated = [[(one * 7 + generator.randrange(3)) % 50 for one in sentence] for sentence in sentences]
    digests = write_arrays([(sentences, translated)], (40, 50), tmp_path)
    write_summary(tmp_path, Skipped(0, 0, ()), digests)
    stored = WordTranslations.count(TokenizedCorpus(tmp_path, 256), (40, 50)).to_bytes()
    assert hashlib.sha256(stored).hexdigest() == "b67961bb72507f501db7d1b62fc5dee9d60bc34b36622286e0e34e2f3dbb09e0"


def test_a_table_is_restored_and_checked(tokenize_files: Callable[[str, str], TokenizedCorpus], parent: Parent) -> None:
    sizes = parent.source_tokenizer.size, parent.target_tokenizer.size
    table = WordTranslations.count(tokenize_files("es", "en"), sizes)
    stored = table.to_bytes()
    assert WordTranslations.of_parent(stored, parent).to_bytes() == stored
    with pytest.raises(CorruptionError, match=r"^word_translations.safetensors: not a safetensors file"):
        WordTranslations.of_parent(stored[:-1], parent)
    for name, damage in (
        ("source_given_target.offsets", lambda values: values[:-1]),
        ("source_given_target.columns", lambda values: values + 10_000),
        ("target_given_source.values", lambda values: values * np.nan),
        ("target_given_source.values", lambda values: values.astype(np.float64)),
    ):
        arrays = load(stored)
        arrays[name] = damage(arrays[name])
        with pytest.raises(CorruptionError, match=r"given_\w+ is not a table of \d+ × \d+ types$"):
            WordTranslations.of_parent(save(arrays), parent)
