"""Where the bytes are that a training starts from: workers read them by digest and never open the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.stored.optional_pieces import required
from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.assembly import weights_of_pair
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import group_of
from registry.blobs import BlobStore

if TYPE_CHECKING:  # a worker unpickles a task, and does not need what it was made from
    from ray_jobs.planning.base import Base
    from ray_jobs.planning.resolve import ReplayedPair
    from registry import ParentRecord, Registry


@dataclass(frozen=True)
class StoredParent:
    """Where a parent's bytes are: workers read them by digest and never open the database."""

    blobs: BlobStore
    pieces: Mapping[str, str]
    fingerprint: str | None = None

    @classmethod
    def of(cls, registry: Registry, record: ParentRecord) -> StoredParent:
        """A registered parent, which this process loads once for everything that a job does with it."""
        stored = cls(registry.blobs, record.pieces, record.fingerprint)
        stored.__dict__["_loaded"] = registry.load_parent(record.name)
        return stored

    def load(self) -> Parent:
        """The parent, loaded once per process. Raises CorruptionError for damaged or missing pieces."""
        return self._loaded

    @cached_property
    def _loaded(self) -> Parent:
        return self.blobs.load(required(self.pieces), lambda pieces: Parent.from_pieces(pieces, self.fingerprint))

    def load_module(self, pieces: Mapping[str, str]) -> Module:
        """A module of the parent. Raises CorruptionError for damaged or missing pieces."""
        return self.blobs.load(required(pieces), Module.from_pieces)

    def __reduce__(self) -> tuple[type[StoredParent], tuple[BlobStore, Mapping[str, str], str | None]]:
        return StoredParent, (self.blobs, self.pieces, self.fingerprint)  # other processes load it themselves


@dataclass(frozen=True)
class StoredPair:
    """An earlier pair to replay; ``module`` are the pieces of the module that brought it, None for the parent's own."""

    pair: Pair
    train: CorpusSpec
    train_digest: str
    module: Mapping[str, str] | None

    @classmethod
    def of(cls, replayed: ReplayedPair) -> StoredPair:
        train, module = replayed.train, replayed.module
        return cls(train.corpus.pair, train.spec, train.summary.digest, module.pieces if module else None)

    def sides(self, stored: StoredParent) -> tuple[Tokenizer, Tokenizer, dict[str, Tensor]]:
        """The pair's own two sides: source's and target's tokenizer, and the tensors of both."""
        parent = stored.load()
        tensors, new = dict(parent.tensors_of(self.pair)), dict[SideName, Tokenizer]()
        if self.module is not None:
            module = stored.load_module(self.module)
            new |= {end: side.tokenizer for end, side in module.new_sides.items()}
            tensors.update(module.tensors)
        source, target = parent.sides(self.pair, new.get("source"), new.get("target"))
        of_sides = {name: tensor for name, tensor in tensors.items() if group_of(name) in ENDS}
        return source.tokenizer, target.tokenizer, of_sides


@dataclass(frozen=True)
class StoredBase:
    """The pieces of the modules that an addition rests on: those of its sides, and of its cross-attention in layers."""

    source: Mapping[str, str] | None = None
    layers: tuple[Mapping[str, str], ...] = ()
    target: Mapping[str, str] | None = None

    @classmethod
    def of(cls, base: Base) -> StoredBase:
        source, target = base.rests_on.source, base.rests_on.target
        sides = (None if module is None else module.pieces for module in (source, target))
        return cls(next(sides), tuple(module.pieces for module in base.layers), next(sides))

    def tensors(self, stored: StoredParent, pair: Pair) -> dict[str, Tensor]:
        """The parameters of a pair's model as the addition finds it: the parent's, and those that it rests on."""
        source, target = (
            None if pieces is None else stored.load_module(pieces) for pieces in (self.source, self.target)
        )
        return weights_of_pair(stored.load(), pair, source, [stored.load_module(one) for one in self.layers], target)
