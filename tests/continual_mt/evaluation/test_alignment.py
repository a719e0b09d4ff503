from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import CorpusError, IncompatibleError
from continual_mt.evaluation import alignment as alignment_module
from continual_mt.evaluation.alignment import (
    Alignment,
    EmbeddingTable,
    Probe,
    align,
    encode_words,
    hubness,
    measure,
    nearest_rows,
    ordinary_ids,
    piece_probe,
    pool,
    precision_at,
    unit_rows,
    word_probe,
)
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.evaluation.lexicon import Lexicon

WIDTH = 24
# Frequent words, which become single pieces, and letters, of which other words are composed.
GERMAN = ["Haus Hund Tür Haus Hund Tür rot"] * 20 + ["s t a u b h"] * 5
FRENCH = ["maison chien porte maison chien porte rouge foyer"] * 20 + ["p o u d r e"] * 5
ENTRIES = {
    "Haus": ("maison", "foyer"),
    "Hund": ("chien",),
    "Tür": ("porte",),
    "rot": ("rouge",),
    "Staub": ("poudre",),  # German has no piece for S
    "staub": ("poudre",),
    "haus": ("maison",),
    "Hut": ("béret",),  # French has none for é
}
LEXICON = Lexicon("de-fr.tsv", ENTRIES)


def random_rows(rows: int, seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def german() -> EmbeddingTable:
    tokenizer = train_tokenizer(lambda: GERMAN, 40)
    return EmbeddingTable(LanguageSide("de", tokenizer), random_rows(tokenizer.size, 1))


@pytest.fixture(scope="module")
def french(german: EmbeddingTable) -> EmbeddingTable:
    """Single-piece translations have the direction of their word in ``german``; all other rows are random."""
    tokenizer = train_tokenizer(lambda: FRENCH, 55)
    embedding = random_rows(tokenizer.size, 2)
    for word, answers in ENTRIES.items():
        ids = german.side.tokenizer.encode(word)
        for answer in answers:
            place = tokenizer.encode(answer)
            if len(ids) == len(place) == 1:
                embedding[place[0]] = 3 * german.embedding[ids[0]]
    return EmbeddingTable(LanguageSide("fr", tokenizer), embedding)


def rows_of_length_1(count: st.SearchStrategy[int]) -> st.SearchStrategy[Tensor]:
    return st.builds(lambda rows, seed: unit_rows(random_rows(rows, seed, width=6)), count, st.integers(0, 10_000))


def test_the_piece_probe_retrieves_among_all_ordinary_pieces(german: EmbeddingTable, french: EmbeddingTable) -> None:
    probe = piece_probe(german, french, LEXICON)
    assert probe.words == ["Haus", "Hund", "Tür", "rot"]
    assert [{probe.labels[row] for row in rows} for rows in probe.answers] == [
        {"▁maison", "▁foyer"},
        {"▁chien"},
        {"▁porte"},
        {"▁rouge"},
    ]
    assert len(probe.candidates) == french.side.tokenizer.size - 4
    assert len(probe.population) == german.side.tokenizer.size - 4
    assert not {"<pad>", "<unk>", "<s>", "</s>"} & set(probe.labels)


def test_the_word_probe_retrieves_among_all_translations(german: EmbeddingTable, french: EmbeddingTable) -> None:
    probe = word_probe(german, french, LEXICON)
    assert probe.words == ["Haus", "Hund", "Tür", "rot", "staub", "haus"]
    assert probe.labels == ["maison", "foyer", "chien", "porte", "rouge", "poudre"]
    assert probe.answers[0] == {0, 1}
    ids = german.side.tokenizer.encode("staub")
    assert len(ids) > 1
    pooled = german.embedding[ids].mean(dim=0)
    torch.testing.assert_close(probe.queries[4], pooled / pooled.norm())
    assert probe.population is probe.queries


def test_tables_with_known_answers(german: EmbeddingTable, french: EmbeddingTable) -> None:
    by_cosine, by_csls, *pooled = align(german, french, LEXICON)
    for found in (by_cosine, by_csls):
        assert (found.precision.at_1, found.precision.at_5) == (1.0, 1.0)
        assert (found.precision.queries, found.precision.candidates) == (4, french.side.tokenizer.size - 4)
        assert found.neighbours["Hund"][0] == "▁chien"
        assert set(found.neighbours["Haus"][:2]) == {"▁maison", "▁foyer"}
    assert [(found.precision.unit, found.precision.method) for found in pooled] == [
        ("word", "cosine"),
        ("word", "csls"),
    ]
    assert all(found.precision.candidates == 6 for found in pooled)


def test_a_table_is_aligned_with_itself_by_every_method(
    django_tokenizers: dict[str, Tokenizer], django_catalogs: dict[str, list[str]]
) -> None:
    tokenizer = django_tokenizers["en"]
    table = EmbeddingTable(LanguageSide("en", tokenizer), random_rows(tokenizer.size, 3))
    words = {word: (word,) for sentence in django_catalogs["en"][:40] for word in sentence.split()}
    results = align(table, table, Lexicon("en-en.tsv", words))
    # Words with the same pieces in another order have the same mean vector, so that precision at 1 may be below 1.
    assert [found.precision.at_1 for found in results[:2]] == [1.0, 1.0]
    assert all(found.precision.at_5 == 1.0 for found in results)
    assert results[0].precision.queries > 10
    assert results[2].precision.queries > results[0].precision.queries


def test_unrelated_tables_are_not_aligned(django_tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = django_tokenizers["en"]
    first, second = (
        EmbeddingTable(LanguageSide("en", tokenizer), random_rows(tokenizer.size, seed)) for seed in (4, 5)
    )
    words = {piece[1:]: (piece[1:],) for piece in tokenizer.pieces if piece.startswith("▁") and len(piece) > 1}
    by_cosine, by_csls, *_ = align(first, second, Lexicon("en-en.tsv", words))
    assert by_cosine.precision.queries > 40
    assert by_cosine.precision.at_1 is not None
    assert by_csls.precision.at_1 is not None
    assert max(by_cosine.precision.at_1, by_csls.precision.at_1) < 0.1


def test_csls_ignores_a_hub_that_cosine_retrieves() -> None:
    count = 20
    own, common = torch.eye(count + 1)[:count], torch.eye(count + 1)[count:]
    queries = unit_rows(0.9 * own + common)
    candidates = torch.cat([own, common])  # 0.67 from its query, and a hub that is 0.74 from each of them
    probe = Probe(
        unit="piece",
        words=[str(i) for i in range(count)],
        queries=queries,
        labels=[*(str(i) for i in range(count)), "hub"],
        candidates=candidates,
        population=queries,
        answers=[frozenset({i}) for i in range(count)],
    )
    by_cosine, by_csls = measure(probe, "cosine"), measure(probe, "csls")
    assert (by_cosine.precision.at_1, by_cosine.precision.at_5) == (0.0, 1.0)
    assert all(found[0] == "hub" for found in by_cosine.neighbours.values())
    assert by_csls.precision.at_1 == 1.0


@given(rows_of_length_1(st.integers(1, 12)), rows_of_length_1(st.integers(1, 30)), rows_of_length_1(st.integers(1, 30)))
def test_csls_ranks_like_its_formula(queries: Tensor, candidates: Tensor, population: Tensor) -> None:
    def nearest(vector: Tensor, others: Tensor) -> float:
        cosines = sorted((float(vector @ other) for other in others), reverse=True)[:10]
        return sum(cosines) / len(cosines)

    hubs = hubness(candidates, population)
    assert hubs.tolist() == pytest.approx([nearest(candidate, population) for candidate in candidates], abs=1e-5)
    found = nearest_rows(queries, candidates, hubs=hubs).tolist()
    for query, rows in zip(queries, found, strict=True):
        ahead = nearest(query, candidates)
        scores = [
            2 * float(query @ candidate) - ahead - float(hub) for candidate, hub in zip(candidates, hubs, strict=True)
        ]
        best = sorted(scores, reverse=True)[: len(rows)]
        assert [scores[row] for row in rows] == pytest.approx(best, abs=1e-5)
        assert len(set(rows)) == len(rows) == min(5, len(candidates))


@given(rows_of_length_1(st.integers(1, 30)), rows_of_length_1(st.integers(6, 30)), st.integers(1, 64))
def test_chunks_of_any_size_give_the_same(queries: Tensor, candidates: Tensor, cells: int) -> None:
    whole = hubness(candidates, queries), nearest_rows(queries, candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment_module, "_MAXIMUM_SIMILARITIES", cells)
        torch.testing.assert_close(hubness(candidates, queries), whole[0])
        rows = nearest_rows(queries, candidates)
    # Chunks change the order of summation and so the rounding: two equally near candidates may swap.
    cosines = queries @ candidates.T
    torch.testing.assert_close(cosines.gather(1, rows), cosines.gather(1, whole[1]))


@given(st.data(), st.integers(1, 20))
def test_precision_grows_with_the_rank(data: st.DataObject, queries: int) -> None:
    rows = st.lists(st.integers(0, 9), min_size=5, max_size=5, unique=True)
    found = data.draw(st.lists(rows, min_size=queries, max_size=queries))
    sets = st.frozensets(st.integers(0, 9), min_size=1)
    answers = data.draw(st.lists(sets, min_size=queries, max_size=queries))
    shares = [precision_at(found, answers, rank) for rank in range(1, 6)]
    assert shares == sorted(shares)
    assert shares[0] == sum(row[0] in right for row, right in zip(found, answers, strict=True)) / queries


def test_pooling_is_the_mean_of_the_pieces() -> None:
    embedding = random_rows(7, 6)
    spellings = [[3], [1, 1, 2], [6, 0]]
    expected = torch.stack([embedding[ids].mean(dim=0) for ids in spellings])
    torch.testing.assert_close(pool(embedding, spellings), expected)


def test_words_are_encoded_as_at_the_start_of_a_word_in_the_given_case(german: EmbeddingTable) -> None:
    tokenizer = german.side.tokenizer
    found = encode_words(tokenizer, ["Haus", "haus", "Haus", "Ziege"])
    assert list(found) == ["Haus", "haus"]
    assert [tokenizer.pieces[number] for number in found["Haus"]] == ["▁Haus"]
    assert len(found["haus"]) > 1


def test_ordinary_ids_leave_out_special_tokens(german: EmbeddingTable) -> None:
    tokenizer = german.side.tokenizer
    special = {tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end}
    assert set(ordinary_ids(tokenizer)) == set(range(tokenizer.size)) - special


def test_the_word_probe_works_without_single_piece_words(german: EmbeddingTable, french: EmbeddingTable) -> None:
    by_cosine, by_csls, pooled, _ = align(german, french, Lexicon("de-fr.tsv", {"staub": ("poudre",)}))
    for found in (by_cosine, by_csls):
        assert (found.precision.queries, found.precision.at_1, found.precision.at_5) == (0, None, None)
    assert (pooled.precision.queries, pooled.precision.candidates, pooled.precision.at_1) == (1, 1, 1.0)


def test_a_lexicon_of_other_languages_is_refused(german: EmbeddingTable, french: EmbeddingTable) -> None:
    with pytest.raises(CorpusError) as caught:
        align(german, french, Lexicon("ja-ko.tsv", {"犬": ("개",), "家": ("집",)}))
    assert str(caught.value) == (
        "ja-ko.tsv: no entry (of 2 words) can be encoded with the vocabularies of de and fr. "
        "Fix: use a lexicon from de to fr"
    )


def test_tables_of_different_widths_are_refused(german: EmbeddingTable, french: EmbeddingTable) -> None:
    narrow = replace(french, embedding=french.embedding[:, :6])
    with pytest.raises(
        IncompatibleError, match=r"^embeddings: de and fr have widths 24 and 6; expected tables of the same parent"
    ):
        align(german, narrow, LEXICON)


def test_json() -> None:
    precision = Precision("word", "csls", 2, 7, 0.5, 1.0)
    neighbours = {"Haus": ["foyer", "maison"], "Hund": ["chien"]}
    found = Alignment(precision, {word: tuple(near) for word, near in neighbours.items()})
    assert found.to_json() == {**precision.to_json(), "neighbours": neighbours}
