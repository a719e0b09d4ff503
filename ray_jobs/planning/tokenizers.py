"""The tokenizers of a job: the driver trains those of new sides; shared sides keep the parent's."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.config.spec import ParentSpec
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.sampling import repeated
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import tokens_to_learn, tokens_to_start, train_tokenizer
from continual_mt.errors import CorruptionError, StorageError
from continual_mt.languages import SideName
from ray_jobs.planning.initialisation import check_unchanged, monolingual_lines
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.resolved_pairs import ResolvedPair
from ray_jobs.planning.training_task import StoredParent


def tokenizers(job: ResolvedJob, parent: StoredParent | None, cache: Path) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of source and target. Raises StorageError if the cache cannot be written to.

    Those of a parent of several pairs have the text of all languages of their end, and a token for each.
    """
    if isinstance(job.spec, ParentSpec):
        sizes, languages = job.spec.vocabulary, job.languages
        source, target = (
            with_control_pieces(
                _trained(job, end, size, cache), [side.token for side in languages.sides(end) if side.token is not None]
            )
            for end, size in zip(ENDS, (sizes.source, sizes.target), strict=True)
        )
        return source, target
    assert parent is not None
    assert job.parent is not None
    loaded = parent.load()
    new = _trained(job, side := job.parent.languages.new_side(job.pair), job.spec.vocabulary, cache)
    if side == "target":
        sides = loaded.sides(job.pair, target=new)
    else:
        sides = loaded.sides(job.pair, source=with_control_pieces(new, loaded.tokens_of_new_sources))
    return sides[0].tokenizer, sides[1].tokenizer


def _trained(job: ResolvedJob, side: SideName, size: int | None, cache: Path) -> Tokenizer:
    texts: object = job.pairs[0].train.summary.digest
    if job.is_joint:
        texts = [[one.train.summary.digest, one.sentences, one.drawn] for one in job.pairs]
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
        for one in job.pairs:
            yield from _sentences(one, side)

    def sentences() -> Iterator[str]:
        for one in job.pairs:  # as often as they are trained on, so that small languages get pieces, too
            yield from repeated(_sentences(one, side), one.sentences, one.drawn)
        if job.monolingual:
            yield from monolingual_lines(job.monolingual)

    if job.monolingual:
        check_unchanged(job.monolingual)
    origin = f"the {side} text of {job.label}" if job.is_joint else job.train.corpus.name
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
