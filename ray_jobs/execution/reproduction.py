"""A parent or module trained again from its record, and what came out beside what is on record.

Nothing of it reaches the registry or MLflow: no version, no score, no lease and no run. The registry is only read, and
all that training writes is in a folder of its own in the cache, which is gone at the end. MLflow's runs stand for what
is registered, and a reproduction never is.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.tensor_diff import TensorDifference, tensor_differences
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import StoppedError, StorageError
from ray_jobs.driver import Driver
from ray_jobs.execution.make import Made, make
from ray_jobs.execution.rescoring import ScoreDifference, score_differences, scored_tests
from ray_jobs.execution.scheduler import trained
from ray_jobs.execution.work import Steps, Work
from ray_jobs.planning.job_from_record import recall
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.tracking import describe
from ray_jobs.tracking.describe import Registered
from registry import ParentRecord, Registry
from registry.records.values import JSON

Verdict = Literal["bit for bit", "by score", "different"]

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class EnvironmentDifference:
    """Something beside the spec that may decide the result: as it was recorded, and as it is now."""

    name: str
    recorded: str
    now: str

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "recorded": self.recorded, "now": self.now}


@dataclass(frozen=True)
class Reproduction:
    """What differs. ``tokenizers`` says by side whether they are the same; scores are made where digests differ."""

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
    # All that will be compared is read now: what is damaged shows before training, and not behind it.
    recorded = _content(registry, record)
    tests = scored_tests(registry, record, job.spec.beam)
    made = _train(driver, job)
    now = made.content
    same = _digest(now) == _digest(recorded)
    first, second = _tokenizers(recorded), _tokenizers(now)
    return Reproduction(
        name=describe.name_of(record),
        recorded_digest=_digest(recorded),
        digest=_digest(now),
        tokenizers={side: first[side].digest == second[side].digest for side in first},
        tensors=tensor_differences(recorded.tensors, now.tensors),
        scores=() if same else score_differences(registry, record, now, tests, driver.display),
        surroundings=_surroundings(record, job, made),
    )


def _train(driver: Driver, job: ResolvedJob) -> Made:
    """Train in a folder that is thrown away, with nothing cached that an earlier training made."""
    driver.connect()
    made: list[Made] = []
    with _scratch(driver.home.cache) as folder:
        again = make(
            job,
            name="reproduction",
            storage=str(folder),
            blobs=driver.registry.blobs,
            cache=folder / "cache",
            display=driver.display,
            told=lambda report: None,
        )

        def steps() -> Steps:
            made.append((yield from again))
            yield None
            raise AssertionError("what is never registered is not scored as a job")

        try:
            with trained(deque([job]), lambda job: Work(job, steps()), driver.display.say) as (work,):
                if work.error is not None:
                    raise work.error
        except StoppedError as error:
            raise StoppedError(
                "stopped; a reproduction keeps nothing, and the registry is as it was: run the same command again"
            ) from error
    return made[0]


@contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """A folder on the disk that training uses, with the catalogs that corpora may be read from."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="reproduction-", dir=cache, ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(f"a reproduction needs room in {cache}: {error.strerror or error}") from error
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
    """Those that training made, by side."""
    if isinstance(content, Parent):
        return {"source": content.source.tokenizer, "target": content.target.tokenizer}
    return {content.side: content.new_side.tokenizer}


def _surroundings(record: Registered, job: ResolvedJob, made: Made) -> list[EnvironmentDifference]:
    """What differs in them is for people to judge: all of it is told, the same or not."""
    lineage = record.lineage
    before: Mapping[str, JSON] = lineage.environment or {}
    # The job's digest changes with the rules of training, which a version raises when its results become others.
    rows = [
        EnvironmentDifference("code version", lineage.code_version, describe.code_version()),
        EnvironmentDifference("job", (lineage.job or "")[:12], job.digest[:12]),
    ]
    names = dict.fromkeys([*made.environment, *before])
    return rows + [
        EnvironmentDifference(name, str(before.get(name, NOT_RECORDED)), str(made.environment.get(name, NOT_RECORDED)))
        for name in names
    ]
