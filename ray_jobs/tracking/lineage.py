"""What a job's result was made from, in the words of the registry: corpora, spec, environment, code version."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

from continual_mt.training.environment import Environment
from ray_jobs.planning.back_translation import BackTranslatedText
from ray_jobs.planning.resolve import ResolvedJob
from registry import CorpusRecord, Input, JobRecord, Lineage, ModuleRecord, ParentRecord
from registry.records.lineage import inputs_resting_on
from registry.records.values import JSONObject

Registered = ParentRecord | ModuleRecord


def name_of(record: Registered) -> str:
    """A parent's name, a module's full name."""
    return record.name if isinstance(record, ParentRecord) else record.full_name


def parent_of(record: Registered) -> str:
    """The name of the parent that a record is, or belongs to."""
    return record.name if isinstance(record, ParentRecord) else record.parent


def lineage(
    job: ResolvedJob,
    held: JobRecord,
    run: str | None,
    tests: Sequence[CorpusRecord],
    environment: Environment,
    back_translated: BackTranslatedText | None = None,
) -> Lineage:
    """What the result of a job was made from; ``tests`` are the records of its test sets, with their text.

    The texts of several pairs are in the order of the pairs. Replayed texts are training texts too; they follow the
    job's own, and back-translations follow these. The texts that were back-translated and denoised are
    text of one language.
    """
    inputs = [Input("start", job.start.full_name, job.start.digest)] if job.start else []
    for pair in job.replayed:
        if pair.module:
            inputs.append(Input("replayed", pair.module.full_name, pair.module.digest))
        else:
            inputs.append(Input("replayed", job.experiment, job.parent.fingerprint if job.parent else None))
    inputs += inputs_resting_on(job.base.keys)
    if job.word_translations and job.parent:
        inputs.append(Input("initialised-from", job.parent.name, job.parent.fingerprint))
    texts = [text.record for text in (*(one.train for one in job.pairs), *(pair.train for pair in job.replayed))]
    alone = {job.monolingual.digest: job.monolingual} if job.monolingual else {}
    if job.back_translation and back_translated:
        inputs += job.back_translation.inputs
        texts.append(back_translated.record)
        alone[job.back_translation.text.digest] = job.back_translation.text
    if job.denoising:
        inputs += job.denoising.through.inputs
        alone[job.denoising.text.digest] = job.denoising.text
    return Lineage(
        corpora=(
            *(("train", text) for text in texts),
            *(("dev", one.dev.record) for one in job.pairs),
            *(("test", test) for test in tests),
            *(("monolingual", text.record(job.pair)) for text in alone.values()),
            *((("lexicon", job.lexicon.record(job.pair)),) if job.lexicon else ()),
            *((("initialisation", job.init_text.record),) if job.init_text else ()),
        ),
        spec=cast(JSONObject, job.spec.model_dump(mode="json")),
        code_version=code_version(),
        job=job.digest,
        attempt=held.attempt,
        run=run,
        inputs=tuple(inputs),
        environment={**environment},
        replay=job.replay if job.replayed else None,
    )


@cache
def code_version() -> str:
    """The version, and the first digits of a digest over the source code: a checkout changes between versions."""
    text = hashlib.sha256()
    for package in ("continual_mt", "ray_jobs"):
        folder = Path(str(importlib.resources.files(package)))
        for path in sorted(folder.rglob("*.py")):
            text.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{importlib.metadata.version('continual-mt')}+{text.hexdigest()[:12]}"
