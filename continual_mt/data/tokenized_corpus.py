"""A corpus as token ids, which are computed once, cached in files, and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from continual_mt.data.corpora.corpus import NAMED_LINES, ContentDigest, Corpus, SentencePair
from continual_mt.data.sampling import repeated
from continual_mt.data.token_files import (
    SIDES,
    Chunk,
    Skipped,
    map_ids,
    map_offsets,
    read_summary,
    write_arrays,
    write_summary,
)
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError, CorruptionError, StorageError
from continual_mt.languages import SideName

FORMAT_VERSION = 1
MAXIMUM_TOKENS = 256
_CHUNK = 4_096

Ids = npt.NDArray[np.int64]
Fetch = Callable[[str, Path], None]
"""Puts the files of the tokenized corpus with a key into an empty folder; raises StorageError."""


class TokenizedCorpus:
    """Pairs of id sequences, each of 1 to ``maximum_tokens`` ids, without special ids but for those of languages.

    The ids stay in files, as uint16, or as uint32 for vocabularies of more than 65,536 types. ``source_lengths`` and
    ``target_lengths`` (pairs,) are int32 arrays in memory. ``key`` is the digest of all inputs that determine the ids.
    Raises CorruptionError if the files are missing or damaged.
    """

    def __init__(self, folder: Path, maximum_tokens: int) -> None:
        self.key = folder.name
        self.skipped = read_summary(folder)
        self.maximum_tokens = maximum_tokens
        self._ids = {side: map_ids(folder, side) for side in SIDES}
        self._offsets = {side: map_offsets(folder, side) for side in SIDES}
        self.source_lengths = np.diff(self._offsets["source"]).astype(np.int32)
        self.target_lengths = np.diff(self._offsets["target"]).astype(np.int32)

    def __len__(self) -> int:
        return len(self.source_lengths)

    def source(self, index: int) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
        return self._sequence("source", index)

    def target(self, index: int) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
        return self._sequence("target", index)

    def gather(self, side: SideName, indices: npt.NDArray[np.int64]) -> tuple[Ids, Ids]:
        """Return the concatenated ids of the sequences at ``indices``, and their lengths, both int64."""
        offsets = self._offsets[side]
        starts = offsets[indices].astype(np.int64)
        lengths = offsets[indices + 1].astype(np.int64) - starts
        return self._ids[side][flat_indices(starts, lengths)].astype(np.int64), lengths

    def counts(self, side: SideName, size: int) -> Ids:
        """Return how often each of the ``size`` types of a side occurs: (size,)."""
        return np.bincount(self._ids[side], minlength=size)

    def _sequence(self, side: str, index: int) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index}: out of range; expected 0 to {len(self) - 1}")
        offsets = self._offsets[side]
        return self._ids[side][offsets[index] : offsets[index + 1]]


def flat_indices(starts: Ids, lengths: Ids) -> Ids:
    """Return the concatenation of the ranges ``starts[i]`` to ``starts[i] + lengths[i] - 1`` for all i."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


@dataclass(frozen=True)
class MixedPart:
    """The corpus of one of several pairs, of whose ``sentences`` an epoch has ``drawn``: see `sampling`.

    ``digest`` is its content digest. Its tokenizers have the tables that all parts share, and the pair's side tokens.
    """

    corpus: Corpus
    digest: str
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    sentences: int = 1
    drawn: int = 1


def tokenize_corpus(
    corpus: Corpus,
    digest: str,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    cache: Path,
    *,
    maximum_tokens: int = MAXIMUM_TOKENS,
    fetch: Fetch | None = None,
) -> TokenizedCorpus:
    """Tokenize a corpus, or map its cached ids into memory.

    Tokenization streams the corpus in constant memory. Pairs with an empty side, or with more than ``maximum_tokens``
    ids on one side, are skipped and counted. A file lock lets one process per node work while the others wait. Damaged
    cache entries are rebuilt.

    Args:
        digest: the content digest of the corpus, which is part of the cache key.
        cache: a folder; the ids are stored in its subfolder ``tokens``.
        fetch: gets the ids from elsewhere where the corpus cannot be read as it was inspected.

    Raises:
        CorpusError: if the corpus cannot be read, its content does not match ``digest``, or no pair is usable, and
            there is no ``fetch``.
        StorageError: if the cache cannot be written.
    """
    key = tokens_key(digest, source_tokenizer, target_tokenizer, maximum_tokens)
    part = MixedPart(corpus, digest, source_tokenizer, target_tokenizer)
    return _tokenized(_Tokenization([part], maximum_tokens), key, cache, fetch)


def tokenize_mixture(
    parts: Sequence[MixedPart], cache: Path, *, maximum_tokens: int = MAXIMUM_TOKENS, fetch: Fetch | None = None
) -> TokenizedCorpus:
    """Tokenize the corpora of several pairs into one, each sentence as often as it is drawn.

    The ids of a sentence begin with its tokenizer's side tokens, which are not counted in ``maximum_tokens``: so one
    batch can have sentences of several languages. Otherwise as `tokenize_corpus`; each part needs a usable pair.
    """
    key = mixture_key(parts, maximum_tokens)
    return _tokenized(_Tokenization(parts, maximum_tokens, mixed=True), key, cache, fetch)


def _tokenized(tokenization: _Tokenization, key: str, cache: Path, fetch: Fetch | None) -> TokenizedCorpus:
    folder, maximum_tokens = tokens_folder(cache, key), tokenization.longest
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{key}.lock")):
            try:
                return TokenizedCorpus(folder, maximum_tokens)
            except CorruptionError:
                pass
            try:
                _build(tokenization.write, folder)
            except CorpusError:
                if fetch is None:
                    raise
            else:
                return TokenizedCorpus(folder, maximum_tokens)
        return _fetched(partial(fetch, key), folder, maximum_tokens)
    except OSError as error:
        raise StorageError(f"{folder.parent}: cannot write tokens ({error.strerror or error})") from error


def _fetched(fetch: Callable[[Path], None], folder: Path, maximum_tokens: int) -> TokenizedCorpus:
    """Get the files of a tokenized corpus from elsewhere; one process per node does so while the others wait.

    The lock is a separate one: the process that they come from may have the same cache, and tokenize in it meanwhile.
    """
    with FileLock(folder.with_name(f"{folder.name}.fetching.lock")):
        with suppress(CorruptionError):
            return TokenizedCorpus(folder, maximum_tokens)
        with _made(folder.with_name(f"{folder.name}.fetching")) as copied:
            fetch(copied)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                with suppress(CorruptionError):
                    return TokenizedCorpus(folder, maximum_tokens)
                shutil.rmtree(folder, ignore_errors=True)
                copied.replace(folder)
        return TokenizedCorpus(folder, maximum_tokens)


def tokens_key(digest: str, source: Tokenizer, target: Tokenizer, maximum_tokens: int) -> str:
    """The digest of all that decides the ids of a corpus with a content digest."""
    parts = [FORMAT_VERSION, digest, source.digest, target.digest, maximum_tokens]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def mixture_key(parts: Sequence[MixedPart], maximum_tokens: int) -> str:
    """The digest of all that decides the ids of a mixture."""
    described = [
        [part.digest, part.source_tokenizer.digest, part.target_tokenizer.digest, part.sentences, part.drawn]
        for part in parts
    ]
    return hashlib.sha256(json.dumps([FORMAT_VERSION, "mixture", described, maximum_tokens]).encode()).hexdigest()


def tokens_folder(cache: Path, key: str) -> Path:
    return cache / "tokens" / key


class _Tokenization:
    """One pass over each corpus that yields the usable pairs in chunks and counts the skipped ones."""

    def __init__(self, parts: Sequence[MixedPart], maximum: int, *, mixed: bool = False) -> None:
        self._parts, self._mixed = parts, mixed
        self.maximum_tokens = maximum
        self._empty = self._too_long = 0
        self._first: list[str] = []

    @property
    def longest(self) -> int:
        """The most ids that a sequence has."""
        named = [len(part.source_tokenizer.side_tokens.before) for part in self._parts]
        named += [len(part.target_tokenizer.side_tokens.before) for part in self._parts]
        return self.maximum_tokens + (max(named) if self._mixed else 0)

    def write(self, folder: Path) -> None:
        first = self._parts[0]
        vocabularies = (first.source_tokenizer.size, first.target_tokenizer.size)
        chunks = (chunk for part in self._parts for chunk in self._chunks(part))
        digests = write_arrays(chunks, vocabularies, folder)
        write_summary(folder, Skipped(self._empty, self._too_long, tuple(self._first)), digests)

    def _chunks(self, part: MixedPart) -> Iterator[Chunk]:
        source, target = part.source_tokenizer, part.target_tokenizer
        before = [side.side_tokens.before if self._mixed else () for side in (source, target)]
        content, kept, (empty, too_long) = ContentDigest(), 0, (self._empty, self._too_long)
        stream = part.corpus.read()
        while chunk := list(islice(stream, _CHUNK)):
            for pair in chunk:
                content.update(pair)
            sources = source.encode_batch([pair.source for pair in chunk])
            targets = target.encode_batch([pair.target for pair in chunk])
            usable = [
                ([*before[0], *in_source], [*before[1], *in_target])
                for pair, in_source, in_target in zip(chunk, sources, targets, strict=True)
                if self._is_usable(part, pair, len(in_source), len(in_target))
            ]
            drawn = repeated(usable, part.sentences, part.drawn, first=kept)
            kept += len(usable)
            while some := list(islice(drawn, _CHUNK)):  # a sentence of a small corpus may be drawn a thousand times
                yield [ids for ids, _ in some], [ids for _, ids in some]
        if content.hexdigest() != part.digest:
            raise CorpusError(part.corpus.name, "the text changed after it was inspected. Fix: start again")
        if not kept:
            empty, too_long = self._empty - empty, self._too_long - too_long
            problem = f"no usable pair: {empty} empty, {too_long} over {self.maximum_tokens} tokens"
            raise CorpusError(part.corpus.name, problem + "".join(f"; {example}" for example in self._first))

    def _is_usable(self, part: MixedPart, pair: SentencePair, in_source: int, in_target: int) -> bool:
        where = f"{part.corpus.pair} line" if self._mixed else "line"
        lengths = dict(zip(SIDES, (in_source, in_target), strict=True))
        if empty := [side for side in SIDES if not lengths[side]]:
            self._empty += 1
            self._describe(f"{where} {pair.line}: {pair.fault or f'empty {empty[0]}'}")
        elif long := [side for side in SIDES if lengths[side] > self.maximum_tokens]:
            self._too_long += 1
            self._describe(f"{where} {pair.line}: {lengths[long[0]]} {long[0]} tokens")
        else:
            return True
        return False

    def _describe(self, example: str) -> None:
        if len(self._first) < NAMED_LINES:
            self._first.append(example)


def _build(write: Callable[[Path], None], folder: Path) -> None:
    """Make a folder with the files that ``write`` puts there, or, after an error, no folder."""
    shutil.rmtree(folder, ignore_errors=True)
    with _made(folder.with_name(f"{folder.name}.partial")) as unfinished:
        write(unfinished)
        unfinished.replace(folder)


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """An empty folder, which is removed at the end unless it was renamed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
