"""A parent or module trained again from its record, and compared with what is recorded.

Nothing of it reaches the registry or MLflow: no version, no score, no lease and no run. The registry is only read, and
training writes only to a temporary folder in the cache. MLflow's runs belong to what is registered, and a reproduction
never is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.tensor_diff import TensorDifference, tensor_differences
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import ContinualMTError, StoppedError, StorageError
from ray_jobs.driver import Driver
from ray_jobs.execution.backend import RunningTraining
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.scheduler import train_together
from ray_jobs.execution.synthetic import make_synthetic
from ray_jobs.execution.training_run import TrainedArtifact, TrainingRun
from ray_jobs.planning.back_translation import BackTranslatedText
from ray_jobs.planning.job_from_record import recall
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.synthetic_text import SyntheticCorpora
from ray_jobs.reproduction.rescoring import ScoreDifference, score_differences, scored_tests
from ray_jobs.tracking.lineage import Registered, code_version, name_of
from registry import ParentRecord, Registry
from registry.records.values import JSON

Verdict = Literal["bit for bit", "by score", "different"]

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class EnvironmentDifference:
    """A part of the environment that may decide the result, as it was recorded and as it is now."""

    name: str
    recorded: str
    now: str

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "recorded": self.recorded, "now": self.now}


@dataclass(frozen=True)
class Reproduction:
    """What differs. There are scores only if the digests differ.

    ``tokenizers`` is, by side, whether they are equal; where languages have their own, also by language: ``source.es``.
    """

    name: str
    recorded_digest: str
    digest: str
    tokenizers: Mapping[str, bool]
    tensors: Sequence[TensorDifference]
    scores: Sequence[ScoreDifference]
    surroundings: Sequence[EnvironmentDifference]

    @property
    def verdict(self) -> Verdict:
        if self.digest == self.recorded_digest:
            return "bit for bit"
        return "by score" if self.scores and all(score.same for score in self.scores) else "different"

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "verdict": self.verdict,
            "recorded_digest": self.recorded_digest,
            "digest": self.digest,
            "tokenizers": dict(self.tokenizers),
            "tensors": [tensor.to_json() for tensor in self.tensors],
            "scores": [score.to_json() for score in self.scores],
            "surroundings": [surrounding.to_json() for surrounding in self.surroundings],
        }


def reproduce(
    driver: Driver,
    record: Registered,
    *,
    corpora: Path | None = None,
    resources: Mapping[str, object] | None = None,
) -> Reproduction:
    """Train a record again and compare. Raises what `recall` and the driver's verbs do, all misuse before training.

    An interrupted reproduction keeps nothing, and raises StoppedError.
    """
    registry = driver.registry
    job = recall(registry, record, driver.home.cache, corpora=corpora, resources=resources)
    driver.backend.check_resources(job.title, job.spec.resources)
    # Everything that will be compared is read now, so that damage is found before training and not after it.
    recorded = _content(registry, record)
    tests = scored_tests(registry, record, job.spec.beam)
    again = _train(driver, job)
    trained = again.result
    now = trained.content
    same = _digest(now) == _digest(recorded)
    first, second = _tokenizers(recorded), _tokenizers(now)
    return Reproduction(
        name=name_of(record),
        recorded_digest=_digest(recorded),
        digest=_digest(now),
        tokenizers={side: first[side].digest == second[side].digest for side in first},
        tensors=tensor_differences(recorded.tensors, now.tensors),
        scores=() if same else score_differences(registry, record, now, tests, driver.display),
        surroundings=_surroundings(record, job, trained, again.made.back_translated),
    )


def _train(driver: Driver, job: ResolvedJob) -> _Retraining:
    """Train in a temporary folder, with nothing cached that an earlier training made."""
    driver.context.connect()
    with _scratch(driver.home.cache) as folder:
        retraining = _Retraining(driver, job, folder)
        try:
            train_together([retraining], driver.backend, driver.display.say)
            if retraining.error is not None:
                raise retraining.error
        except StoppedError as error:
            raise StoppedError(
                "stopped; a reproduction keeps nothing, and the registry is as it was: run the same command again"
            ) from error
        finally:
            retraining.close()
    return retraining


class _Retraining:
    """A job without lease, MLflow run and registration, for the scheduler."""

    def __init__(self, driver: Driver, job: ResolvedJob, folder: Path) -> None:
        self.error: ContinualMTError | None = None
        self.artifact: TrainedArtifact | None = None
        self.made = SyntheticCorpora()
        self.title, self.resources = job.title, job.spec.resources
        self._driver, self._job, self._folder = driver, job, folder
        self._run: TrainingRun | None = None

    @property
    def result(self) -> TrainedArtifact:
        assert self.artifact is not None, "not finished"
        return self.artifact

    def start(self) -> RunningTraining:
        driver, job = self._driver, self._job
        cache = self._folder / "cache"
        self.made = make_synthetic(job, driver.registry, cache, driver.display)
        self._run = TrainingRun(
            job,
            driver.backend,
            StoredParent.of(driver.registry, job.parent) if job.parent else None,
            RunCheckpoints(str(self._folder), "reproduction"),
            cache=cache,
            display=driver.display,
            made=self.made,
        )
        return self._run.training

    def finish(self) -> None:
        assert self._run is not None
        try:
            self.artifact = self._run.artifact()
        except ContinualMTError as error:
            self.error = error
            raise

    def affects_others(self, error: ContinualMTError) -> bool:
        return True

    def close(self) -> None:
        if self._run is not None:
            self._run.close()


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """A folder on the disk that training uses, with the catalogs that corpora may be read from."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="reproduction-", dir=cache, ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(f"a reproduction needs space in {cache}: {error.strerror or error}") from error
    with folder as name:
        own = Path(name) / "cache"
        own.mkdir()
        (own / "catalogs").symlink_to(cache / "catalogs")
        yield Path(name)


def _content(registry: Registry, record: Registered) -> Parent | Module:
    if isinstance(record, ParentRecord):
        return registry.load_parent(record.name)
    return registry.load_module(record.full_name)


def _digest(content: Parent | Module) -> str:
    return content.fingerprint if isinstance(content, Parent) else content.digest


def _tokenizers(content: Parent | Module) -> dict[str, Tokenizer]:
    """The tokenizers that training made, by side."""
    if isinstance(content, Parent):
        return content.tokenizers
    return {end: side.tokenizer for end, side in content.new_sides.items()}


def _surroundings(
    record: Registered, job: ResolvedJob, trained: TrainedArtifact, translated: BackTranslatedText | None
) -> list[EnvironmentDifference]:
    """Everything in the environment, equal or not: people judge what a difference means.

    The same text may be translated otherwise on another machine, so that its translations belong to it.
    """
    lineage = record.lineage
    before: Mapping[str, JSON] = lineage.environment or {}
    # The job's digest changes with the identity version, which is increased when training gives other results.
    rows = [
        EnvironmentDifference("code version", lineage.code_version, code_version()),
        EnvironmentDifference("job", (lineage.job or "")[:12], job.digest[:12]),
    ]
    if translated is not None:
        recorded = [corpus.digest for role, corpus in lineage.corpora if role == "train"][-1]
        rows.append(EnvironmentDifference(translated.name, recorded[:12], translated.record.digest[:12]))
    names = dict.fromkeys([*trained.environment, *before])
    return rows + [
        EnvironmentDifference(
            name, str(before.get(name, NOT_RECORDED)), str(trained.environment.get(name, NOT_RECORDED))
        )
        for name in names
    ]
