"""What a training task trains on beside its text: back-translations, and noised sentences that are to be restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.data.back_translation import tagged
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import group_of
from ray_jobs.planning.stored import StoredBase, StoredParent
from ray_jobs.planning.training_text import TrainingText
from registry.corpora import ResolvedCorpus

if TYPE_CHECKING:  # a worker unpickles a task, and does not need what it was made from
    from ray_jobs.planning.back_translation import BackTranslatedText
    from ray_jobs.planning.resolve import ResolvedJob


@dataclass(frozen=True)
class SyntheticCorpora:
    """What a job made to train on, before it trains."""

    back_translated: BackTranslatedText | None = None
    noised: ResolvedCorpus | None = None


@dataclass(frozen=True)
class FrozenHalf:
    """The half of a standing pair's model on one end, which takes part in a training and does not change."""

    end: SideName
    pair: Pair
    base: StoredBase

    def tensors(self, stored: StoredParent) -> dict[str, Tensor]:
        """By full name, all those of its groups."""
        groups = {"source": ("source", "encoder"), "target": ("cross_attention", "decoder", "target")}[self.end]
        found = self.base.tensors(stored, self.pair)
        return {name: tensor for name, tensor in found.items() if group_of(name) in groups}


@dataclass(frozen=True)
class SyntheticText:
    """A text with synthetic sources, which is a ``share`` of all batches; ``title`` is the plural of what it has.

    Its tokenizers frame its sentences. ``half`` is what takes the place of half of the model that trains.
    """

    title: str
    text: TrainingText
    share: float
    half: FrozenHalf | None = None


def synthetic_texts(
    job: ResolvedJob, stored: StoredParent, own: TrainingText, made: SyntheticCorpora
) -> tuple[SyntheticText, ...]:
    """The texts that a job made, with tokenizers; ``own`` is its other text."""
    positions = job.architecture.maximum_positions

    def text(corpus: ResolvedCorpus, pair: Pair, source: Tokenizer, target: Tokenizer) -> TrainingText:
        most = min(own.maximum_tokens, source.room(positions), target.room(positions))
        return TrainingText(pair, corpus.spec, corpus.summary.digest, source, target, most)

    found = []
    if (translated := job.back_translation) and made.back_translated:
        source, target = own.source, own.target
        if translated.tagged is not None:
            source, target = tagged(source, target, translated.tagged)
        corpus = made.back_translated.corpus
        found.append(SyntheticText("back-translations", text(corpus, own.pair, source, target), translated.spec.share))
    if (denoised := job.denoising) and made.noised:
        through = denoised.through
        half = FrozenHalf(through.end, through.pair, StoredBase.of(through.base))
        tokenizers = _tokenizers(half, stored, own)
        found.append(
            SyntheticText("noised sentences", text(made.noised, half.pair, *tokenizers), denoised.spec.share, half)
        )
    return tuple(found)


def _tokenizers(half: FrozenHalf, stored: StoredParent, own: TrainingText) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of the frozen half, as its pair has them, and of the new side."""
    new = {"source": own.source, "target": own.target}
    pieces = {"source": half.base.source, "target": half.base.target}[half.end]
    tables: dict[SideName, Tokenizer | None] = {
        end: new[end].with_side_tokens(NO_SIDE_TOKENS) for end in ENDS if end != half.end
    }
    if pieces is not None:
        tables[half.end] = stored.load_module(pieces).new_sides[half.end].tokenizer
    source, target = stored.load().sides(half.pair, tables.get("source"), tables.get("target"))
    return source.tokenizer, target.tokenizer


def share_beside_text(share: float, all_shares: float) -> float:
    """Return the share of a text in all batches as its share beside the job's text alone, as `Replay` takes it.

    ``all_shares`` is the sum of the shares of all texts that are trained on beside the job's.
    """
    return share / (1 - all_shares + share)
