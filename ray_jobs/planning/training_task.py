"""A training task: everything that a worker process needs to train, and nothing that only the driver may use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.stored.optional_pieces import required
from continual_mt.artifacts.vocabulary import Vocabulary, named_tokenizers
from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.back_translation import tagged
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.assembly import weights_of_pair
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture, group_of, parameter_names
from continual_mt.model.initial_values import initial_joint_tensors, initial_tensors
from continual_mt.training.trainer import trainable_copy
from ray_jobs.planning.training_text import (
    DevelopmentText,
    MixedText,
    SeparateTexts,
    SyntheticText,
    TrainingText,
    usable_sentences,
)
from registry.blobs import BlobStore

if TYPE_CHECKING:  # a worker unpickles a task, and does not need what it was made from
    from ray_jobs.planning.back_translation import BackTranslatedText
    from ray_jobs.planning.base import Base
    from ray_jobs.planning.resolve import ReplayedPair, ResolvedJob
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


@dataclass(frozen=True)
class TrainingTask:
    """The serializable description of a training, from which a worker builds its `continual_mt.training.trainer.Task`.

    ``trained`` are the names of the parameters that train, ``fresh`` those that start from noise instead of the parent,
    and ``added`` the names and shapes of those that are not the model's own.
    ``start`` are the pieces of the module whose cross-attention and body replace the parent's as training starts.
    ``source`` and ``target`` frame the sentences of ``text``. A text of several pairs has the tokenizers of each pair:
    with language tokens, or, if languages have their own vocabularies, those of its two languages. ``replay`` is the
    share of batches that come from the earlier pairs ``replayed``. ``side`` are the tensors that a new side starts from
    instead of noise. ``development`` are the texts that choose the checkpoint, one a pair: they travel with the task,
    as a worker may be on a machine without the text. ``base`` are the modules that an addition is trained against,
    ``synthetic`` is what it trains on beside its text.
    """

    architecture: Architecture
    parent: StoredParent | None
    trained: tuple[str, ...]
    fresh: tuple[str, ...]
    source: Vocabulary
    target: Vocabulary
    text: TrainingText | MixedText | SeparateTexts
    development: tuple[DevelopmentText, ...]
    settings: TrainingSettings
    seed: int
    threads: int
    cache: Path
    start: Mapping[str, str] | None = None
    replay: float = 0.0
    replayed: tuple[StoredPair, ...] = ()
    side: Mapping[str, Tensor] = field(default_factory=dict)
    added: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    base: StoredBase = StoredBase()
    synthetic: SyntheticText | None = None

    @classmethod
    def of(
        cls,
        job: ResolvedJob,
        parent: StoredParent | None,
        source: Vocabulary,
        target: Vocabulary,
        threads: int,
        cache: Path,
        back_translated: BackTranslatedText | None = None,
    ) -> TrainingTask:
        """The task of a job; ``threads`` is the number that each worker computes with.

        Reads the development texts. Raises CorpusError if one can no longer be read.
        """
        trained, fresh = job.names()
        sides = [job.sides(one.pair, source, target) for one in job.pairs]
        positions = job.architecture.maximum_positions
        most = min(tokenizer.room(positions) for pair in sides for tokenizer in pair)
        texts = tuple(
            TrainingText(one.pair, one.train.spec, one.train.summary.digest, *tokenizers, most)
            for one, tokenizers in zip(job.pairs, sides, strict=True)
        )
        drawn = tuple((one.drawn, one.sentences) for one in job.pairs)
        several = MixedText if job.vocabularies == "shared" else SeparateTexts
        development = (
            DevelopmentText(
                one.pair, usable_sentences(one.dev.corpus, job.spec.training), *tokenizers, job.tokenization(one.pair)
            )
            for one, tokenizers in zip(job.pairs, sides, strict=True)
        )
        return cls(
            architecture=job.architecture,
            parent=parent,
            trained=trained,
            fresh=fresh,
            source=source,
            target=target,
            text=several(texts, drawn, most) if job.is_joint else texts[0],
            development=tuple(development) if job.spec.training.updates else (),
            settings=job.spec.training,
            seed=job.spec.seed,
            threads=threads,
            cache=cache,
            start=job.start.pieces if job.start else None,
            replay=job.replay,
            replayed=tuple(map(StoredPair.of, job.replayed)),
            added=job.added(),
            base=StoredBase.of(job.base),
            synthetic=None if back_translated is None else _synthetic(job, texts[0], back_translated),
        )

    def _starting_seed(self) -> int:
        """The seed of the starting values, which differs between an addition and its parent and between pairs.

        With one seed, rows of the same index would start equal in all tables of a side, and stay close although their
        words have nothing in common.
        """
        if self.parent is None:
            return self.seed
        return int.from_bytes(hashlib.sha256(f"{self.seed} {self.text.title}".encode()).digest()[:7])

    def keeping_in(self, place: Callable[[Path], Path]) -> TrainingTask:
        """The same task, whose cache folders are those that ``place`` gives for them."""
        parent = self.parent and replace(self.parent, blobs=self.parent.blobs.keeping_in(place))
        return replace(self, cache=place(self.cache), parent=parent)

    def texts(self) -> Iterator[TrainingText | MixedText]:
        """Every text that workers tokenize."""
        if isinstance(self.text, SeparateTexts):
            yield from self.text.texts
        else:
            yield self.text
        yield from (text for text, _ in self.earlier_pairs())
        if self.synthetic is not None:
            yield self.synthetic.text

    def earlier_pairs(self) -> Iterator[tuple[TrainingText, dict[str, Tensor]]]:
        """The text of each pair that is replayed, and the tensors of its two sides by full name."""
        for earlier in self.replayed:
            assert self.parent is not None
            source, target, sides = earlier.sides(self.parent)
            positions = self.architecture.maximum_positions
            # Its sentences may have more tokens of languages than those of the new pair.
            most = min(self.text.maximum_tokens, source.room(positions), target.room(positions))
            yield TrainingText(earlier.pair, earlier.train, earlier.train_digest, source, target, most), sides

    def noise(self) -> dict[str, Tensor]:
        """The random starting values of the parameters that do not start from the parent's.

        The tokens by which a new source names its target start as the parent's: only one of them is trained.
        """
        source, target = self.source, self.target
        if not isinstance(source, Tokenizer) or not isinstance(target, Tokenizer):
            tables = {**named_tokenizers("source", source), **named_tokenizers("target", target)}
            sizes = {side: table.size for side, table in tables.items()}
            return initial_joint_tensors(self.architecture, sizes, self._starting_seed())
        sizes = {"source": source.size, "target": target.size}
        fresh = initial_tensors(self.architecture, self.fresh, sizes, self._starting_seed(), self.added)
        table = fresh.get("source.embedding")
        if table is not None and self.parent is not None and "encoder.0.attention.query.weight" not in fresh:
            parent = self.parent.load()
            for token in parent.tokens_of_new_sources:
                new, own = source.number(token), parent.source_tokenizer.number(token)
                table[new] = parent.tensors["source.embedding"][own]
        return fresh

    def starting_tensors(self) -> dict[str, Tensor]:
        """All parameters as training begins: the parent's own where frozen, copies or starting values where trained."""
        fresh = self.noise() | dict(self.side)
        if self.parent is None:
            return fresh
        assert isinstance(self.text, TrainingText)
        given = self.base.tensors(self.parent, self.text.pair)
        if self.start is not None:
            module = self.parent.load_module(self.start)
            given |= {name: tensor for name, tensor in module.tensors.items() if group_of(name) not in ENDS}
        inherited = trainable_copy(given, self.trained)
        names = (*parameter_names(self.architecture), *self.added)
        # Copies, since training changes its tensors in place.
        return {name: fresh[name].clone() if name in fresh else inherited[name] for name in names}


def _synthetic(job: ResolvedJob, own: TrainingText, made: BackTranslatedText) -> SyntheticText:
    """The back-translations of a job, with the tokenizers of its other text, which mark them if that was asked for."""
    asked = job.back_translation
    assert asked is not None
    source, target = own.source, own.target
    if asked.tagged is not None:
        source, target = tagged(source, target, asked.tagged)
    positions = job.architecture.maximum_positions
    most = min(own.maximum_tokens, source.room(positions), target.room(positions))
    corpus = made.corpus
    text = TrainingText(own.pair, corpus.spec, corpus.summary.digest, source, target, most)
    return SyntheticText(text, asked.spec.share)
