from __future__ import annotations

import multiprocessing
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from continual_mt.data.corpora.corpus import Corpus, SentencePair, inspect
from continual_mt.data.corpora.parallel_files import TextFiles
from continual_mt.data.tokenized_corpus import (
    MixedPart,
    TokenizedCorpus,
    mixture_key,
    tokenize_corpus,
    tokenize_mixture,
    tokens_folder,
)
from continual_mt.data.tokenizer import SideTokens, Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import CorpusError, CorruptionError, StorageError
from continual_mt.languages import Pair

PAIR = Pair("de", "en")


@pytest.fixture(scope="module")
def tokenizers(django_catalogs: dict[str, list[str]]) -> tuple[Tokenizer, Tokenizer]:
    return train_tokenizer(lambda: django_catalogs["de"], 300), train_tokenizer(lambda: django_catalogs["en"], 300)


@pytest.fixture(scope="module")
def corpus(django_text_files: dict[str, Path]) -> TextFiles:
    return TextFiles(PAIR, django_text_files["de"], django_text_files["en"])


def tokenize(
    corpus: Corpus, tokenizers: tuple[Tokenizer, Tokenizer], cache: Path, maximum: int = 256
) -> TokenizedCorpus:
    return tokenize_corpus(corpus, inspect(corpus).digest, *tokenizers, cache, maximum_tokens=maximum)


def write_corpus(folder: Path, sources: list[str], targets: list[str]) -> TextFiles:
    folder.mkdir(parents=True, exist_ok=True)
    for name, sentences in (("de", sources), ("en", targets)):
        (folder / name).write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    return TextFiles(PAIR, folder / "de", folder / "en")


def test_ids_equal_those_of_the_tokenizers(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    tokens = tokenize(corpus, tokenizers, tmp_path)
    pairs = list(corpus.read())
    assert len(tokens) == len(pairs)
    assert (tokens.skipped.empty, tokens.skipped.too_long, tokens.skipped.first) == (0, 0, ())
    assert tokens.source_lengths.dtype == tokens.target_lengths.dtype == np.int32
    for index, pair in enumerate(pairs):
        assert tokens.source(index).tolist() == tokenizers[0].encode(pair.source)
        assert tokens.target(index).tolist() == tokenizers[1].encode(pair.target)
        assert tokens.source_lengths[index] == len(tokens.source(index))
        assert tokens.target_lengths[index] == len(tokens.target(index))
    assert tokens.source(0).dtype == np.uint16
    assert isinstance(tokens.source(0), np.memmap)
    for index in (-1, len(tokens)):
        with pytest.raises(IndexError, match=f"pair {index}: out of range; expected 0 to {len(tokens) - 1}"):
            tokens.source(index)


TEXT = st.text("aber nicht,", max_size=12)


@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=30), maximum=st.integers(1, 12))
def test_every_pair_is_kept_or_counted_as_skipped(
    rows: list[tuple[str, str]],
    maximum: int,
    tokenizers: tuple[Tokenizer, Tokenizer],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    corpus = write_corpus(folder, [source for source, _ in rows], [target for _, target in rows])
    expected = [(tokenizers[0].encode(source), tokenizers[1].encode(target)) for source, target in rows]
    kept = [pair for pair in expected if all(0 < len(ids) <= maximum for ids in pair)]
    if not kept:
        with pytest.raises(CorpusError, match="no usable pair"):
            tokenize(corpus, tokenizers, folder, maximum)
        return
    tokens = tokenize(corpus, tokenizers, folder, maximum)
    found = [(tokens.source(index).tolist(), tokens.target(index).tolist()) for index in range(len(tokens))]
    assert found == kept
    assert len(kept) + tokens.skipped.empty + tokens.skipped.too_long == len(rows)
    assert len(tokens.skipped.first) == min(3, len(rows) - len(kept))


def test_skipped_pairs_are_described(tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> None:
    sources = ["gut", "", "gut " * 400, "ja", "ja", "gut"]
    targets = ["good", "good", "good", " ", "yes " * 300, "good"]
    tokens = tokenize(write_corpus(tmp_path, sources, targets), tokenizers, tmp_path)
    assert len(tokens) == 2
    assert (tokens.skipped.empty, tokens.skipped.too_long) == (2, 2)
    too_long = len(tokenizers[0].encode(sources[2]))
    assert tokens.skipped.first == ("line 2: empty source", f"line 3: {too_long} source tokens", "line 4: empty target")
    # The summary in the cache keeps them.
    assert tokenize(TextFiles(PAIR, tmp_path / "de", tmp_path / "en"), tokenizers, tmp_path).skipped == tokens.skipped


def test_a_corpus_without_usable_pairs_is_rejected(tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, ["", "gut"], ["x", ""])
    with pytest.raises(CorpusError, match=r"no usable pair: 2 empty, 0 over 256 tokens; line 1: empty source"):
        tokenize(corpus, tokenizers, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "tokens").iterdir()] == [".lock"]


def test_a_changed_corpus_is_rejected(tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, ["gut"], ["good"])
    digest = inspect(corpus).digest
    write_corpus(tmp_path, ["gut"], ["bad"])
    with pytest.raises(CorpusError, match=r"the text changed after it was inspected\. Fix: start again"):
        tokenize_corpus(corpus, digest, *tokenizers, tmp_path)


class _Unreadable:
    """A corpus that must not be read again."""

    def __init__(self, corpus: TextFiles) -> None:
        self.pair, self.name, self.licence = corpus.pair, corpus.name, corpus.licence

    def read(self) -> Iterator[SentencePair]:
        raise CorpusError(self.name, "was read")


def test_the_cache_is_keyed_by_digests(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    digest = inspect(corpus).digest
    tokenize_corpus(corpus, digest, *tokenizers, tmp_path)
    unreadable = _Unreadable(corpus)
    assert len(tokenize_corpus(unreadable, digest, *tokenizers, tmp_path)) > 0
    with pytest.raises(CorpusError, match="was read"):
        tokenize_corpus(unreadable, digest, *tokenizers, tmp_path, maximum_tokens=100)
    with pytest.raises(CorpusError, match="was read"):
        tokenize_corpus(unreadable, digest, tokenizers[1], tokenizers[0], tmp_path)


@pytest.mark.parametrize(
    "name", ["source.npy", "source_offsets.npy", "target.npy", "target_offsets.npy", "summary.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_entry_is_rebuilt(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path, name: str, damage: str
) -> None:
    before = tokenize(corpus, tokenizers, tmp_path).source(5).tolist()
    (path,) = (tmp_path / "tokens").glob(f"*/{name}")
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:-3])
    elif damage == "flip":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 255]) + content[-2:])
    again = tokenize(corpus, tokenizers, tmp_path)
    assert again.source(5).tolist() == before
    assert path.read_bytes() == content


def test_leftovers_of_a_killed_process_are_replaced(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    tokenize(corpus, tokenizers, tmp_path)
    (entry,) = (path for path in (tmp_path / "tokens").iterdir() if path.is_dir())
    entry.rename(entry.with_name(f"{entry.name}.partial"))
    assert len(tokenize(corpus, tokenizers, tmp_path)) > 0
    assert [path for path in (tmp_path / "tokens").iterdir() if path.is_dir()] == [entry]


def _tokenize_in_process(corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], cache: Path) -> int:
    return int(tokenize(corpus, tokenizers, cache).source_lengths.sum())


def test_several_processes_at_once(corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.starmap(_tokenize_in_process, [(corpus, tokenizers, tmp_path)] * 4)
    assert len(set(sums)) == 1


def test_a_cache_that_cannot_be_written(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match=r"tokens: cannot write tokens \("):
        tokenize(corpus, tokenizers, tmp_path)


class _Repeated:
    """Sentence pairs, repeated up to a given length."""

    def __init__(self, pairs: list[SentencePair], length: int) -> None:
        self.pair, self.name, self.licence = PAIR, "repeated", None
        self._pairs, self._length = pairs, length

    def read(self) -> Iterator[SentencePair]:
        for line in range(self._length):
            pair = self._pairs[line % len(self._pairs)]
            yield SentencePair(line + 1, pair.source, pair.target)


def test_memory_does_not_grow_with_the_corpus(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    pairs = sorted(corpus.read(), key=lambda pair: len(pair.source))[:20]
    peaks, arrays = [], []
    for length in (5_000, 50_000):
        repeated = _Repeated(pairs, length)
        digest = inspect(repeated).digest
        tracemalloc.start()
        tokens = tokenize_corpus(repeated, digest, *tokenizers, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(tokens) == length
        # The lengths of both sides stay in memory as int32; computing them takes one int64 array at a time.
        arrays.append(length * (4 + 4 + 8))
    assert peaks[1] - peaks[0] < arrays[1] - arrays[0] + 1_000_000


def test_what_cannot_be_read_is_fetched_once(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    """As on a machine without the text, or with another text under its name."""
    digest, there = inspect(corpus).digest, tmp_path / "there"
    tokens = tokenize_corpus(corpus, digest, *tokenizers, there)
    fetched: list[str] = []

    def fetch(key: str, folder: Path) -> None:
        fetched.append(key)
        # The driver may have the same cache.
        with FileLock(folder.with_name(f"{key}.lock"), timeout=0):
            pass
        for file in tokens_folder(there, key).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())

    assert tokenize_corpus(corpus, digest, *tokenizers, tmp_path / "reads", fetch=fetch).key == tokens.key
    assert fetched == []
    missing = TextFiles(PAIR, tmp_path / "gone.de", tmp_path / "gone.en")
    other = write_corpus(tmp_path / "other", ["Haus"], ["house"])
    for name, text in (("missing", missing), ("other", other), ("missing", missing)):
        found = tokenize_corpus(text, digest, *tokenizers, tmp_path / name, fetch=fetch)
        assert np.array_equal(found.source(7), tokens.source(7))
    assert fetched == [tokens.key, tokens.key]
    with pytest.raises(CorpusError, match=r"gone\.de: no such file"):
        tokenize_corpus(missing, digest, *tokenizers, tmp_path / "alone")


def test_what_is_fetched_damaged_is_not_used(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    digest, there = inspect(corpus).digest, tmp_path / "there"
    tokenize_corpus(corpus, digest, *tokenizers, there)

    def fetch(key: str, folder: Path) -> None:
        for file in tokens_folder(there, key).iterdir():
            (folder / file.name).write_bytes(file.read_bytes().replace(b"\1", b"\2"))

    missing = TextFiles(PAIR, tmp_path / "gone.de", tmp_path / "gone.en")
    with pytest.raises(CorruptionError, match=r"modified after they were written: source\.npy"):
        tokenize_corpus(missing, digest, *tokenizers, tmp_path / "here", fetch=fetch)


def test_a_mixture_has_each_pairs_tokens_and_repeats_small_pairs(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    pairs = list(corpus.read())
    small = write_corpus(tmp_path / "small", [one.source for one in pairs[:3]], [one.target for one in pairs[:3]])
    parts = mixed(tokenizers, (corpus, len(pairs), len(pairs)), (small, 3, 7))
    tokens = tokenize_mixture(parts, tmp_path, maximum_tokens=100)
    usable = [one for one in pairs if max(len(t.encode(s)) for t, s in zip(tokenizers, one[1:3], strict=True)) <= 100]
    expected = [
        ([10 + number, *tokenizers[0].encode(one.source)], [20 + number, *tokenizers[1].encode(one.target)])
        for number, texts in enumerate((usable, [pairs[0], pairs[0], *[pairs[1]] * 2, *[pairs[2]] * 3]))
        for one in texts
    ]
    found = [(tokens.source(index).tolist(), tokens.target(index).tolist()) for index in range(len(tokens))]
    assert found == expected
    assert tokens.maximum_tokens == 101
    assert tokens.key == mixture_key(parts, 100)
    others = (mixed(tokenizers, (corpus, len(pairs), len(pairs)), (small, 3, 8)), parts[::-1], parts[:1])
    assert len({tokens.key, *(mixture_key(other, 100) for other in others)}) == 4


def test_every_part_of_a_mixture_is_needed(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    blank = write_corpus(tmp_path / "blank", ["eins", ""], ["", "two"])
    parts = mixed(tokenizers, (corpus, 1, 1), (blank, 1, 1))
    with pytest.raises(CorpusError, match="no usable pair: 2 empty, 0 over 256 tokens; de-en line 1: empty target"):
        tokenize_mixture(parts, tmp_path)
    changed = [parts[0], replace(parts[0], digest="0" * 64)]
    with pytest.raises(CorpusError, match="the text changed after it was inspected"):
        tokenize_mixture(changed, tmp_path)


def test_a_mixture_is_fetched_where_a_part_cannot_be_read(
    corpus: TextFiles, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    parts = mixed(tokenizers, (corpus, 1, 1), (corpus, 1, 2))
    made = tokenize_mixture(parts, tmp_path / "driver")

    def fetch(key: str, folder: Path) -> None:
        for file in tokens_folder(tmp_path / "driver", key).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())

    there = [parts[0], replace(parts[1], corpus=_Unreadable(corpus))]
    assert len(tokenize_mixture(there, tmp_path / "worker", fetch=fetch)) == len(made)
    with pytest.raises(CorpusError, match="was read"):
        tokenize_mixture(there, tmp_path / "other")


def mixed(tokenizers: tuple[Tokenizer, Tokenizer], *parts: tuple[TextFiles, int, int]) -> list[MixedPart]:
    """Parts with other tokens before their sentences: 10 and 20, 11 and 21, …"""
    source, target = tokenizers
    return [
        MixedPart(
            corpus,
            inspect(corpus).digest,
            source.with_side_tokens(SideTokens((10 + number,))),
            target.with_side_tokens(SideTokens((20 + number,))),
            sentences,
            drawn,
        )
        for number, (corpus, sentences, drawn) in enumerate(parts)
    ]
