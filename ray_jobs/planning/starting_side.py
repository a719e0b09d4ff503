"""The starting values of an addition's new side, computed by the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import listed
from continual_mt.data.tokenized_corpus import tokenize_corpus
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.errors import CorpusError, IncompatibleError
from continual_mt.initialisation.lexicon_weights import lexicon_evidence
from continual_mt.initialisation.sparse_rows import SparseRows
from continual_mt.initialisation.starting_values import (
    StartSummary,
    combined,
    equal_pieces,
    evidence_of_text,
    starting_tensors,
    summarize,
)
from continual_mt.initialisation.word_translation import ROUNDS, WordTranslations, translation_probabilities
from continual_mt.languages import SideName
from ray_jobs.console import Display
from ray_jobs.planning.initialisation import count_word_translations, read_word_list
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.starting_language import language_to_start_from, starts_directly
from ray_jobs.planning.stored import StoredParent


@dataclass(frozen=True)
class StartingSide:
    """The tensors that a new side starts from, and what they were made of."""

    tensors: Mapping[str, Tensor]
    summary: StartSummary


def starting_side(
    job: ResolvedJob,
    side: SideName,
    stored: StoredParent,
    source: Tokenizer,
    target: Tokenizer,
    noise: Mapping[str, Tensor],
    cache: Path,
    display: Display,
) -> StartingSide:
    """Start a new side of an addition as its ``initialisation`` says, ``lexical`` or ``shared``.

    ``noise`` has the values of types without a start. Raises CorpusError for a lexicon that does not fit, and
    IncompatibleError if the two languages share no piece.
    """
    parent = stored.load()
    new, known = (source, target) if side == "source" else (target, source)
    language = _language_to_start_from(job, parent, side, new)
    own, theirs = parent.tokenizer(side, language), parent.tensors_of_side(side, language)
    corpus = tokenize_corpus(
        job.train.corpus,
        job.train.summary.digest,
        source,
        target,
        cache,
        maximum_tokens=min(tokenizer.room(job.architecture.maximum_positions) for tokenizer in (source, target)),
    )
    evidence = []
    for table in _tables(job, stored, "target" if side == "source" else "source", known, cache, display):
        with display.counting(f"{job.title}: word translations", ROUNDS) as progress:
            evidence.append(evidence_of_text(corpus, side, (source.size, target.size), table, progress))
    if job.initialisation == "lexical" and _starts_directly(job, parent, side):
        evidence.append(_direct_evidence(job, side, new, own, cache, display))
    if job.lexicon is not None:
        read, lexicon = read_word_list(job.lexicon.path)
        if read.digest != job.lexicon.digest:
            raise CorpusError(job.lexicon.path, "the lexicon changed after it was inspected. Fix: start again")
        from_words = lexicon_evidence(lexicon, new, own)
        types = int((np.diff(from_words.offsets) > 0).sum())
        display.say(f"{job.title}: {len(lexicon.translations):,} words of the lexicon tell what {types:,} types mean")
        evidence.append(from_words)
    weights = combined(new, own, SparseRows.sum(evidence) if evidence else None)
    if job.initialisation == "shared" and not _have_letters(new.pieces[number] for number, _ in equal_pieces(new, own)):
        own_languages = listed(parent.languages.tags(side) if parent.vocabularies == "shared" else [language])
        raise IncompatibleError(
            f"{job.pair}: the vocabularies of {job.pair.language(side)} and {own_languages} have no piece "
            "in common from which embeddings could start. Fix: "
            f"{'--init random' if job.base.side == 'both' else '--init lexical or --init random'}"
        )
    tensors = starting_tensors(weights, theirs, noise)
    tables = tensors[f"{side}.embedding"], theirs[f"{side}.embedding"]
    return StartingSide(tensors, summarize(weights, new, own, corpus.counts(side, new.size), *tables))


def _language_to_start_from(job: ResolvedJob, parent: Parent, side: SideName, new: Tokenizer) -> str:
    """The language of the parent whose embeddings the new ones start from; any one where all share a table.

    If nothing tells which, it is the one whose vocabulary has the most pieces in common with the new one.
    """
    assert job.parent is not None
    tags = parent.languages.tags(side)
    if parent.vocabularies == "shared":
        return tags[0]
    most_in_common = max(tags, key=lambda tag: len(equal_pieces(new, parent.tokenizer(side, tag))))
    if job.initialisation == "shared":
        return most_in_common
    text = None if job.init_text is None else job.init_text.corpus.pair
    known = language_to_start_from(job.parent, job.pair, side, text)
    return known or most_in_common


def _starts_directly(job: ResolvedJob, parent: Parent, side: SideName) -> bool:
    """Whether the pair's other language has embeddings in the table that is started from."""
    assert job.parent is not None
    is_of_the_text = parent.vocabularies == "own" and job.init_text is not None
    return starts_directly(job.parent, job.pair, side) and not is_of_the_text


def _tables(
    job: ResolvedJob, stored: StoredParent, end: SideName, known: Tokenizer, cache: Path, display: Display
) -> Iterator[WordTranslations]:
    """The word translations that the start goes through: of a pair of the parent, or of a module that it rests on.

    ``known`` is the tokenizer of the side ``end`` that is not new.
    """
    parent = stored.load()
    if job.word_translations is not None:
        yield WordTranslations.of_parent(stored.blobs.get(job.word_translations), parent)
    if job.init_text is not None:
        rests = job.base.rests_on.part(end) is not None
        tokenizers = {end: known.with_side_tokens(NO_SIDE_TOKENS)} if rests else None
        yield count_word_translations(parent, job.experiment, job.init_text, cache, display, tokenizers)


def _direct_evidence(
    job: ResolvedJob, side: SideName, new: Tokenizer, own: Tokenizer, cache: Path, display: Display
) -> SparseRows:
    """p(parent's type | new type), where the parent has the pair's other language on the end that is new.

    Its sentences are read by ``own``, the tokenizer of that end, in which the parent has their embeddings.
    """
    source, target = (new, own) if side == "source" else (own, new)
    most = min(tokenizer.room(job.architecture.maximum_positions) for tokenizer in (source, target))
    train = job.train
    corpus = tokenize_corpus(train.corpus, train.summary.digest, source, target, cache, maximum_tokens=most)
    with display.counting(f"{job.title}: word translations", ROUNDS) as progress:
        return translation_probabilities(corpus, side, (new.size, own.size), progress=progress)


def _have_letters(pieces: Iterable[str]) -> bool:
    return any(letter.isalpha() for piece in pieces for letter in piece)
