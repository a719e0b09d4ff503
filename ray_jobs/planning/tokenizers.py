"""The tokenizers of a job: the driver trains those of new sides; shared sides keep the parent's."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.vocabulary import Vocabulary
from continual_mt.config.spec import ParentSpec
from continual_mt.data.back_translation import TAG
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.sampling import repeated
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import tokens_to_learn, tokens_to_start, train_tokenizer
from continual_mt.errors import CorruptionError, StorageError
from continual_mt.languages import SideName, ends_of
from ray_jobs.planning.initialisation import check_unchanged, monolingual_lines
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.resolved_pairs import ResolvedPair
from ray_jobs.planning.stored import StoredParent


def tokenizers(job: ResolvedJob, parent: StoredParent | None, cache: Path) -> tuple[Vocabulary, Vocabulary]:
    """The tokenizers of source and target. Raises StorageError if the cache cannot be written to.

    Those that the languages of an end share have the text of all of them, and a token for each.
    """
    if isinstance(job.spec, ParentSpec):
        sizes = job.spec.vocabulary
        make: Callable[[ResolvedJob, SideName, int | None, Path], Vocabulary]
        make = _shared if job.vocabularies == "shared" else _own
        return make(job, "source", sizes.source, cache), make(job, "target", sizes.target, cache)
    assert parent is not None
    assert job.parent is not None
    loaded = parent.load()
    tables: dict[SideName, Tokenizer] = {}
    for end in ENDS:
        record = job.base.rests_on.part(end)
        if end in ends_of(job.base.side):
            tables[end] = _trained(job, end, job.spec.vocabulary, cache, job.pairs)
        elif record is not None:
            tables[end] = parent.load_module(record.pieces).new_sides[end].tokenizer
    if "source" in ends_of(job.base.side):
        tables["source"] = with_control_pieces(tables["source"], loaded.tokens_of_new_sources)
    if job.back_translation is not None and (marked := job.back_translation.tagged) is not None:
        tables[marked] = with_control_pieces(tables[marked], [TAG])
    source, target = loaded.sides(job.pair, tables.get("source"), tables.get("target"))
    return source.tokenizer, target.tokenizer


def _shared(job: ResolvedJob, end: SideName, size: int | None, cache: Path) -> Tokenizer:
    """The tokenizer of all languages of an end."""
    tokens = [side.token for side in job.languages.sides(end) if side.token is not None]
    return with_control_pieces(_trained(job, end, size, cache, job.pairs), tokens)


def _own(job: ResolvedJob, end: SideName, size: int | None, cache: Path) -> dict[str, Tokenizer]:
    """A tokenizer for each language of an end, with the text that this language has there."""
    return {
        tag: _trained(job, end, size, cache, [one for one in job.pairs if one.pair.language(end) == tag], tag)
        for tag in job.languages.tags(end)
    }


def _trained(
    job: ResolvedJob,
    side: SideName,
    size: int | None,
    cache: Path,
    pairs: Sequence[ResolvedPair],
    language: str | None = None,
) -> Tokenizer:
    """The tokenizer of the text that ``pairs`` have on a side; ``language`` is that of the text, if it has one."""
    texts: object = pairs[0].train.summary.digest
    if job.is_joint:
        texts = [[one.train.summary.digest, one.sentences, one.drawn] for one in pairs]
    known: list[object] = [texts, side, size, job.spec.seed]
    rule = tokens_to_learn if job.initialisation == "random" else tokens_to_start
    # What came later is left out where it means what was meant before, so that earlier tokenizers are found.
    if size is None and rule is tokens_to_start:
        known.append("tokens to start")
    if job.monolingual:
        known.append(job.monolingual.digest)
    if job.spec.tokenizer != "identity":
        known.append(job.spec.tokenizer)
    path = cache / "tokenizers" / f"{hashlib.sha256(json.dumps(known).encode()).hexdigest()}.model"
    try:
        return Tokenizer(path.read_bytes())
    except (OSError, CorruptionError):
        pass  # not trained yet, or damaged: training it again gives the same

    def translated() -> Iterator[str]:
        for one in pairs:
            yield from _sentences(one, side)

    def sentences() -> Iterator[str]:
        for one in pairs:  # as often as they are trained on, so that small languages get pieces, too
            yield from repeated(_sentences(one, side), one.sentences, one.drawn)
        if job.monolingual:
            yield from monolingual_lines(job.monolingual)

    if job.monolingual:
        check_unchanged(job.monolingual)
    origin = pairs[0].train.corpus.name
    if job.is_joint:
        origin = f"the {side} text of {job.label}{f' in {language}' if language else ''}"
    tokenizer = train_tokenizer(
        sentences,
        size,
        seed=job.spec.seed,
        origin=origin,
        enough_tokens=rule,
        counted=translated,
        rule=job.spec.tokenizer,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            (whole := Path(folder) / path.name).write_bytes(tokenizer.model)
            whole.replace(path)
    except OSError as error:
        raise StorageError(f"the tokenizer cannot be written to {path.parent}: {error.strerror or error}") from error
    return tokenizer


def _sentences(one: ResolvedPair, side: SideName) -> Iterator[str]:
    for pair in one.train.corpus.read():
        if pair.source.strip() and pair.target.strip():
            yield pair.source if side == "source" else pair.target
