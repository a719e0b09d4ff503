"""A training task: everything that a worker process needs to train, and nothing that only the driver may use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.vocabulary import Vocabulary, named_tokenizers
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.model.architecture import Architecture, group_of, parameter_names
from continual_mt.model.initial_values import initial_joint_tensors, initial_tensors
from continual_mt.training.trainer import trainable_copy
from ray_jobs.planning.stored import StoredBase, StoredPair, StoredParent
from ray_jobs.planning.synthetic_text import SyntheticCorpora, SyntheticText, synthetic_texts
from ray_jobs.planning.training_text import (
    DevelopmentText,
    MixedText,
    SeparateTexts,
    TrainingText,
    usable_sentences,
)

if TYPE_CHECKING:  # a worker unpickles a task, and does not need what it was made from
    from ray_jobs.planning.resolve import ResolvedJob


@dataclass(frozen=True)
class TrainingTask:
    """The serializable description of a training, from which a worker builds its `continual_mt.training.trainer.Task`.

    ``trained`` are the names of the parameters that train, ``fresh`` those that start from noise instead of the parent,
    and ``added`` the names and shapes of those that are not the model's own.
    ``start`` are the pieces of the module whose cross-attention and body replace the parent's as training starts.
    ``source`` and ``target`` frame the sentences of ``text``. A text of several pairs has the tokenizers of each pair:
    with language tokens, or, if languages have their own vocabularies, those of its two languages. ``replay`` is the
    share of batches that come from the earlier pairs ``replayed``. ``side`` are the tensors that a new side starts from
    instead of noise. ``development`` are the texts that choose the checkpoint, one a pair that has a say: they travel
    with the task, as a worker may be on a machine without the text. ``base`` are the modules that an addition is
    trained against, ``synthetic`` is what it trains on beside its text.
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
    base: StoredBase = field(default_factory=StoredBase)
    synthetic: tuple[SyntheticText, ...] = ()

    @classmethod
    def of(
        cls,
        job: ResolvedJob,
        parent: StoredParent | None,
        source: Vocabulary,
        target: Vocabulary,
        threads: int,
        cache: Path,
        made: SyntheticCorpora | None = None,
    ) -> TrainingTask:
        """The task of a job; ``threads`` is the number that each worker computes with, and ``made`` what it
        trains on beside its text.

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
            if one in job.development
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
            synthetic=() if made is None or parent is None else synthetic_texts(job, parent, texts[0], made),
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
        yield from (one.text for one in self.synthetic)

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
