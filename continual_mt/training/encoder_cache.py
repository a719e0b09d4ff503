"""A disk cache of the encoder's output for every source sentence of a corpus.

When a new target language is trained, the source embeddings and the encoder are frozen, so a sentence's encoder states
never change. They are computed once, written to a file and memory-mapped, as the token ids are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional

from continual_mt.data.batching import Indices, source_rows
from continual_mt.data.tokenized_corpus import TokenizedCorpus, flat_indices
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import StorageError
from continual_mt.model.operations.packing import PackedLayout
from continual_mt.model.transformer import Transformer

FORMAT_VERSION = 1
BATCH_TOKENS = 4096
DIGEST_BYTES = 32
_ZERO_BLOCK = bytes(1 << 20)


class EncodedSources:
    """The memory-mapped encoder states of all source sentences of a corpus: one row per token, end tokens included."""

    def __init__(self, path: Path, corpus: TokenizedCorpus, source: Tokenizer, width: int, dtype: torch.dtype) -> None:
        self._path, self._dtype = path, dtype
        self._index = _RowIndex(corpus, source)
        self._states = np.memmap(path, np.uint8, "r", shape=(self._index.total, width * dtype.itemsize))

    def rows(self, indices: Indices, layout: PackedLayout) -> Tensor:
        """Return the states of sentences, (rows, width), in their batch's source ``layout``; padding rows are zero."""
        states = torch.from_numpy(np.take(self._states, self._index.rows_of(indices), axis=0)).view(self._dtype)
        return functional.pad(states, (0, 0, 0, len(layout.position_ids) - layout.token_count))

    def delete(self) -> None:
        """Delete the file. States that are already mapped stay readable."""
        self._path.unlink(missing_ok=True)


class _RowIndex:
    """Maps sentences to their rows in the file."""

    def __init__(self, corpus: TokenizedCorpus, source: Tokenizer) -> None:
        self.lengths = corpus.source_lengths.astype(np.int64) + len(source.frame_source(()))
        self._first_rows = np.cumsum(self.lengths) - self.lengths
        self.total = int(self.lengths.sum())

    def rows_of(self, indices: Indices) -> Indices:
        return flat_indices(self._first_rows[indices], self.lengths[indices])


def encoded_bytes(corpus: TokenizedCorpus, source: Tokenizer, width: int, dtype: torch.dtype) -> int:
    """Return the size of the encoder states of a corpus, in bytes."""
    added = len(corpus) * len(source.frame_source(()))
    return (int(corpus.source_lengths.sum()) + added) * width * dtype.itemsize


def encode_sources(model: Transformer, corpus: TokenizedCorpus, source: Tokenizer, cache: Path) -> EncodedSources:
    """Encode all source sentences of a corpus, or open the cached states if the file exists and is intact.

    The cache key covers the model's encoder weights, its dtype and the corpus, so that other weights get another file.
    The same model, corpus and machine give the same bytes. A file lock lets one process per node encode while others
    wait. Raises StorageError if the file cannot be written.
    """
    width, dtype = model.architecture.width, model.computation
    path = cache / "encoded" / _cache_key(model, corpus, source)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not _is_complete(path, encoded_bytes(corpus, source, width, dtype)):
                _write(model, corpus, source, path)
            return EncodedSources(path, corpus, source, width, dtype)
    except OSError as error:
        raise StorageError(
            f"encoder cache {path.parent}: cannot be written ({error.strerror or error}). "
            "Fix: free disk space, or set training.encoder_cache_gb=0 to encode each batch again"
        ) from error


def _cache_key(model: Transformer, corpus: TokenizedCorpus, source: Tokenizer) -> str:
    framed = source.frame_source(())
    described = f"{FORMAT_VERSION} {corpus.key} {framed} {model.computation} {model.architecture}"
    digest = hashlib.sha256(described.encode())
    for name, tensor in model.state_dict().items():
        if name.startswith(("source.", "encoder.")):
            digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _write(model: Transformer, corpus: TokenizedCorpus, source: Tokenizer, path: Path) -> None:
    index, partial = _RowIndex(corpus, source), path.with_suffix(".partial")
    size = encoded_bytes(corpus, source, model.architecture.width, model.computation)
    _allocate(partial, size)
    states = np.memmap(partial, np.uint8, "r+", shape=(index.total, size // index.total))
    # Sorted by length to reduce padding. The sort is stable, so the same corpus always gives the same bytes.
    order = np.argsort(index.lengths, kind="stable")
    ends = np.cumsum(index.lengths[order])
    start = 0
    while start < len(order):
        encoded_tokens = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, encoded_tokens + BATCH_TOKENS)))
        indices = order[start:stop]
        tokens, layout = source_rows(corpus, indices, source)
        rows = model.encode(tokens.to(model.device), layout.to(model.device))[: layout.token_count]
        states[index.rows_of(indices)] = rows.cpu().view(torch.uint8).numpy()
        start = stop
    states.flush()
    digest = _digest(partial, size)
    with partial.open("ab") as file:
        file.write(digest)
    partial.replace(path)


def _allocate(path: Path, size: int) -> None:
    """Create a file of zeros. A full disk raises OSError here; later, in the mapping, it would kill the process."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        try:
            for start in range(0, size, len(_ZERO_BLOCK)):
                file.write(_ZERO_BLOCK[: size - start])
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _digest(path: Path, size: int) -> bytes:
    """Return the SHA-256 of the first ``size`` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (block := file.read(min(size, len(_ZERO_BLOCK)))):
            digest.update(block)
            size -= len(block)
    return digest.digest()


def _is_complete(path: Path, size: int) -> bool:
    """Tell whether the file holds ``size`` bytes followed by their SHA-256."""
    if not path.exists() or path.stat().st_size != size + DIGEST_BYTES:
        return False
    with path.open("rb") as file:
        file.seek(size)
        return file.read() == _digest(path, size)
