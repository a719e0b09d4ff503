"""The noised text of an addition that denoises, written once in the cache."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from filelock import FileLock

from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.data.noise import noised
from continual_mt.errors import StorageError
from ray_jobs.planning.denoising import VERSION, Denoising
from ray_jobs.planning.initialisation import check_unchanged, monolingual_lines
from ray_jobs.planning.resolve import ResolvedJob
from registry.corpora import ResolvedCorpus, read_corpus

FOLDER = "noised"


def noised_text(job: ResolvedJob, cache: Path) -> ResolvedCorpus | None:
    """Return the noised sentences of an addition that denoises, as sources of the sentences; None for others.

    The same text, settings and seed give the same noise. Raises CorpusError if the text has changed, and StorageError
    if the cache cannot be written to.
    """
    asked = job.denoising
    if asked is None:
        return None
    check_unchanged(asked.text)
    decides = [VERSION, asked.text.digest, asked.spec.drop, asked.spec.distance, job.spec.seed]
    folder = cache / FOLDER / hashlib.sha256(json.dumps(decides).encode()).hexdigest()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                    (whole := Path(temporary) / "whole").mkdir()
                    _write(asked, job.spec.seed, whole)
                    whole.replace(folder)
    except OSError as error:
        raise StorageError(f"noised text cannot be written to {folder}: {error.strerror or error}") from error
    return read_corpus(CorpusSpec(source=folder / "source", target=folder / "target"), asked.through.pair, folder)


def _write(asked: Denoising, seed: int, folder: Path) -> None:
    with (
        (folder / "source").open("w", encoding="utf-8") as source,
        (folder / "target").open("w", encoding="utf-8") as target,
    ):
        for sentence in monolingual_lines(asked.text):
            source.write(f"{noised(sentence, asked.spec.drop, asked.spec.distance, seed)}\n")
            target.write(f"{sentence}\n")
