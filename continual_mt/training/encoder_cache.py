"""What a frozen encoder makes of a corpus, computed once and kept in a file.

For a new target language neither the source's embeddings nor the encoder train, so a sentence's states never change.
They are mapped into memory, as token ids are.
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
from continual_mt.model.packing import PackedLayout
from continual_mt.model.transformer import Transformer

FORMAT_VERSION = 1
BATCH_TOKENS = 4096
DIGEST_BYTES = 32
_ZERO_BLOCK = bytes(1 << 20)


class EncodedSources:
    """The encoder's states of every source sentence of a corpus, its end token included."""

    def __init__(self, path: Path, corpus: TokenizedCorpus, width: int, dtype: torch.dtype) -> None:
        self._path, self._dtype = path, dtype
        self._index = _RowIndex(corpus)
        self._states = np.memmap(path, np.uint8, "r", shape=(self._index.total, width * dtype.itemsize))

    def rows(self, indices: Indices, layout: PackedLayout) -> Tensor:
        """(rows, width): the states of these sentences in their batch's source layout, zero in its filler."""
        states = torch.from_numpy(np.take(self._states, self._index.rows_of(indices), axis=0)).view(self._dtype)
        return functional.pad(states, (0, 0, 0, len(layout.position_ids) - layout.token_count))

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)


class _RowIndex:
    """Which rows belong to which sentence."""

    def __init__(self, corpus: TokenizedCorpus) -> None:
        self.lengths = corpus.source_lengths.astype(np.int64) + 1
        self._first_rows = np.cumsum(self.lengths) - self.lengths
        self.total = int(self.lengths.sum())

    def rows_of(self, indices: Indices) -> Indices:
        return flat_indices(self._first_rows[indices], self.lengths[indices])


def encoded_bytes(corpus: TokenizedCorpus, width: int, dtype: torch.dtype) -> int:
    """What the states of this corpus take."""
    return (int(corpus.source_lengths.sum()) + len(corpus)) * width * dtype.itemsize


def encode_sources(model: Transformer, corpus: TokenizedCorpus, source: Tokenizer, cache: Path) -> EncodedSources:
    """Encode a corpus, or map what is kept for it; the same model, text and machine give the same bytes.

    Of several processes on a node one works and the others wait. Raises StorageError where they cannot be written.
    """
    width, dtype = model.architecture.width, model.computation
    path = cache / "encoded" / _cache_key(model, corpus)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not _is_complete(path, encoded_bytes(corpus, width, dtype)):
                _write(model, corpus, source, path)
            return EncodedSources(path, corpus, width, dtype)
    except OSError as error:
        raise StorageError(
            f"the encoder's states cannot be kept in {path.parent}: {error.strerror or error}; "
            "with training.encoder_cache_gb=0 they are computed for each batch"
        ) from error


def _cache_key(model: Transformer, corpus: TokenizedCorpus) -> str:
    digest = hashlib.sha256(f"{FORMAT_VERSION} {corpus.key} {model.computation} {model.architecture}".encode())
    for name, tensor in model.state_dict().items():
        if name.startswith(("source.", "encoder.")):
            digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _write(model: Transformer, corpus: TokenizedCorpus, source: Tokenizer, path: Path) -> None:
    index, partial = _RowIndex(corpus), path.with_suffix(".partial")
    size = encoded_bytes(corpus, model.architecture.width, model.computation)
    _allocate(partial, size)
    states = np.memmap(partial, np.uint8, "r+", shape=(index.total, size // index.total))
    # Sorted, so that attention pads little, in an order that only the corpus decides, so that bytes are the same again.
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
    """A file of so many bytes for which there is room: a mapped one that finds none would end the process."""
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
    """SHA-256 of the first ``size`` bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (block := file.read(min(size, len(_ZERO_BLOCK)))):
            digest.update(block)
            size -= len(block)
    return digest.digest()


def _is_complete(path: Path, size: int) -> bool:
    """Whether the file holds so many bytes and, behind them, their digest."""
    if not path.exists() or path.stat().st_size != size + DIGEST_BYTES:
        return False
    with path.open("rb") as file:
        file.seek(size)
        return file.read() == _digest(path, size)
