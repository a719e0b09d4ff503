"""A work order: everything that a worker needs to train, and nothing that only the driver may touch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from continual_mt.architecture import GROUPS, Architecture, Group, group_names, group_of
from continual_mt.languages import Pair
from continual_mt.module import Module
from continual_mt.parent import Parent
from continual_mt.settings import TrainingSettings
from continual_mt.spec import CorpusSpec
from continual_mt.tokenizer import Tokenizer
from continual_mt.training import trainable_copy
from continual_mt.transformer import initial_tensors
from ray_jobs.resolve import ResolvedJob
from registry.blobs import BlobStore


@dataclass(frozen=True)
class StoredParent:
    """Where a parent's bytes are: workers read them by digest and never open the database."""

    blobs: Path
    pieces: Mapping[str, str]

    def load(self) -> Parent:
        return Parent.from_pieces(BlobStore(self.blobs).get_all(self.pieces))


@dataclass(frozen=True)
class WorkOrder:
    """``trained`` are the groups that train, ``fresh`` those of them that start from noise instead of the parent.

    ``start`` are the pieces of the module with whose cross-attention and body training goes on instead of the parent's.
    """

    pair: Pair
    architecture: Architecture
    parent: StoredParent | None
    trained: tuple[Group, ...]
    fresh: tuple[Group, ...]
    source: Tokenizer
    target: Tokenizer
    train: CorpusSpec
    train_digest: str
    dev: CorpusSpec
    settings: TrainingSettings
    seed: int
    threads: int
    cache: Path
    start: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        job: ResolvedJob,
        parent: StoredParent | None,
        source: Tokenizer,
        target: Tokenizer,
        threads: int,
        cache: Path,
    ) -> WorkOrder:
        """The order for a job's training; ``threads`` is what each worker computes with."""
        trained, fresh = job.groups()
        return cls(
            pair=job.pair,
            architecture=job.architecture,
            parent=parent,
            trained=trained,
            fresh=fresh,
            source=source,
            target=target,
            train=job.train.spec,
            train_digest=job.train.summary.digest,
            dev=job.dev.spec,
            settings=job.spec.training,
            seed=job.spec.seed,
            threads=threads,
            cache=cache,
            start=job.start.pieces if job.start else None,
        )

    def _starting_seed(self) -> int:
        """Of an addition another one than its parent's, which usually has the same seed, and for each pair another.

        Otherwise rows of the same number would begin equal in all tables of a side, and stay close although they stand
        for words that have nothing in common.
        """
        if self.parent is None:
            return self.seed
        return int.from_bytes(hashlib.sha256(f"{self.seed} {self.pair}".encode()).digest()[:7])

    def names(self, groups: tuple[Group, ...]) -> tuple[str, ...]:
        return tuple(name for group in groups for name in group_names(self.architecture, group))

    def starting_tensors(self) -> dict[str, Tensor]:
        """All parameters as training begins: the parent's own tensors where frozen, copies or noise where trained."""
        sizes = {"source": self.source.size, "target": self.target.size}
        fresh = initial_tensors(self.architecture, self.names(self.fresh), sizes, self._starting_seed())
        if self.parent is None:
            return fresh
        given = dict(self.parent.load().tensors)
        if self.start is not None:
            module = Module.from_pieces(BlobStore(self.parent.blobs).get_all(self.start))
            given |= {name: tensor for name, tensor in module.tensors.items() if group_of(name) != module.side}
        inherited = trainable_copy(given, self.names(self.trained))
        return {name: fresh.get(name, inherited[name]) for name in self.names(GROUPS)}
