"""What the jobs of one driver share: its registry, home, back end and display."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import StoppedError
from continual_mt.home import Home
from ray_jobs.console import Display
from ray_jobs.execution import lease
from ray_jobs.execution.backend import TrainingBackend
from ray_jobs.tracking.lineage import Registered
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import JobRecord, Registry, ScoreRecord
from registry.carried_scores import carried_evaluations
from registry.corpora import ResolvedTest, known_tests
from registry.evaluation import Evaluation


@dataclass(frozen=True)
class JobContext:
    """``again`` trains finished jobs a second time; ``rescore`` translates every pair, also those without a change."""

    registry: Registry
    home: Home
    backend: TrainingBackend
    display: Display
    again: bool = False
    rescore: bool = False

    def hold(self, digest: str, kind: str) -> JobRecord:
        """Take the lease on a job. A finished job is returned as it is, or as a new attempt with ``again``."""
        held = lease.take(self.registry, digest, kind)
        if held.state == "finished" and self.again:
            self.registry.jobs.again(digest)
            held = lease.take(self.registry, digest, kind)
        return held

    @contextmanager
    def tracked(
        self, tracker: Tracker, held: JobRecord, experiment: str, name: str, tags: Mapping[str, str]
    ) -> Iterator[bool]:
        """Keep a job's MLflow run, the same one through retries, until the job ends; yields whether it is new."""
        run = tracker.start(held.run, experiment=experiment, name=name, tags=tags)
        new = run is not None and run != held.run
        if run is not None and new:
            self.registry.jobs.set_run(held.digest, run)
        try:
            yield new
        except BaseException as error:
            tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit | StoppedError) else "FAILED")
            raise
        tracker.finish("FINISHED")

    def connect(self) -> None:
        """Start the back end, or connect to it. Raises ClusterError if it cannot be used."""
        self.backend.connect(self.registry.storage.local_parts)

    def known_tests(self, parent: str) -> list[ResolvedTest]:
        """The test sets that earlier jobs on a parent named, each once."""
        records: list[Registered] = [self.registry.parent(parent), *self.registry.modules(parent)]
        lineages = [record.lineage for record in records]
        return known_tests(self.registry, lineages, self.home.cache, self.display.say)

    def evaluate(self, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int) -> list[Evaluation]:
        """Score recipes on test sets, and show each result. Scores are carried forward where the logits are equal."""
        found = {} if self.rescore else self._carried(work, beam)
        rest = [(recipe, test) for recipe, test in work if (recipe.digest, test.digest) not in found]
        translated = self.backend.evaluate(self.registry, rest, beam, self.display)
        found |= {(r.digest, t.digest): evaluation for (r, t), evaluation in zip(rest, translated, strict=True)}
        evaluations = [found[recipe.digest, test.digest] for recipe, test in work]
        for (_, test), evaluation in zip(work, evaluations, strict=True):
            values = ", ".join(map(_described, evaluation.scores))
            carried = " (carried forward: its logits are bit-equal)" if evaluation.carried else ""
            self.display.say(f"{evaluation.title} on {test.name}: {values}{carried}")
        return evaluations

    def _carried(self, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int) -> dict[tuple[str, str], Evaluation]:
        with self.display.counting("comparing logits", len(work)) as progress:
            return carried_evaluations(self.registry, work, beam, progress)


def _described(score: ScoreRecord) -> str:
    """``bleu 23.1``, or ``offtarget 60.0 (of references 1.2; wrong language)``."""
    value = f"{score.metric} {score.value:.1f}"
    if score.reference_value is None:
        return value
    return f"{value} (of references {score.reference_value:.1f}{'; wrong language' * score.is_wrong_language})"
