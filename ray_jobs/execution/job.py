"""A job: one parent or addition, from its lease to its scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.stored.optional_pieces import INITIALISATION
from continual_mt.artifacts.stored.serialization import json_piece
from continual_mt.config.spec import Resources
from continual_mt.errors import ContinualMTError, JobHeldError, RegistryError, StoppedError
from continual_mt.training.progress import ProgressReport
from ray_jobs.execution import lease
from ray_jobs.execution.backend import RunningTraining
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.context import JobContext
from ray_jobs.execution.ending import Ending
from ray_jobs.execution.synthetic import make_synthetic
from ray_jobs.execution.training_run import TrainedArtifact, TrainingRun
from ray_jobs.execution.unfinished import bring_along, describe_others
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.synthetic_text import SyntheticCorpora
from ray_jobs.tracking import mlflow_payload
from ray_jobs.tracking.lineage import Registered, lineage, name_of, parent_of
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import JobRecord, ModuleRecord
from registry.corpora import ResolvedTest, with_text
from registry.evaluation import Evaluation, scored, to_translate
from registry.queries.recipe_resolver import RecipeResolver
from registry.records.values import JSONObject


@dataclass(frozen=True)
class Outcome:
    """What a job left in the registry.

    ``evaluations`` are those made now; earlier scores are in the registry. ``ending`` is how the training ended, None
    if nothing was trained now.
    """

    record: Registered
    evaluations: tuple[Evaluation, ...]
    run: str | None
    ending: Ending | None

    @property
    def trained_now(self) -> bool:
        return self.ending is not None

    @property
    def name(self) -> str:
        return name_of(self.record)

    def to_json(self) -> JSONObject:
        return {
            "name": self.name,
            "trained_now": self.trained_now,
            "training": None if self.ending is None else self.ending.to_json(),
            "run": self.run,
            "record": self.record.to_json(),
            "scores": [score.to_json() for evaluation in self.evaluations for score in evaluation.scores],
        }


@dataclass(frozen=True)
class ScoringContext:
    """What an addition of a sequence is scored with: the modules of the additions before it, and the test sets."""

    earlier: tuple[ModuleRecord, ...]
    tests: tuple[ResolvedTest, ...]


class Job:
    """A job: call `start`; `finish` once its training has ended; then `score`. Call `close` in any case.

    A step that raises ends the lease and the MLflow run as failed, or as stopped after a signal. Nothing happens before
    `start`. ``sequence`` is the name of the sequence that the job belongs to.
    """

    def __init__(self, context: JobContext, resolved: ResolvedJob, sequence: str | None = None) -> None:
        self.resolved = resolved
        self.error: ContinualMTError | None = None
        """The error that a step raised."""
        self._context, self._registry, self._say = context, context.registry, context.display.say
        self._sequence = sequence
        self._stack = ExitStack()
        """Holds the lease and the MLflow run until the job ends."""
        self._tracker = Tracker(context.home, self._say)
        self._held: JobRecord | None = None
        self._run: TrainingRun | None = None
        self._record: Registered | None = None
        self._made = SyntheticCorpora()
        self._ending: Ending | None = None
        self._started = False

    @property
    def title(self) -> str:
        return self.resolved.title

    @property
    def resources(self) -> Resources:
        return self.resolved.spec.resources

    def start(self) -> RunningTraining | None:
        """Take the lease, and start or resume the training; None if an earlier try has registered the result.

        Raises JobHeldError if another driver holds the job, and ClusterError if there is nothing to train on.
        """
        job = self.resolved
        with self._ending_on_error():
            held = self._held = self._context.hold(job.digest, job.kind)
            self._record = self._registry.catalog.made_by(job.digest, held.attempt)
            if held.state == "finished":
                if self._record is None:
                    raise RegistryError(
                        f"job {job.digest[:12]} is finished, but what it made is not in {self._registry.name}; "
                        "use --again"
                    )
                self._say(f"{self.title}: done before, as {name_of(self._record)}")
            else:
                self._stack.enter_context(lease.kept(self._registry, job.digest))
                self._stack.enter_context(self._tracked(held))
                if self._record is None:
                    self._describe(held)
                    self._run = self._start_training()
            self._started = True
            return self._run.training if self._run else None

    def finish(self) -> Registered:
        """Register what the training made, unless that was done before.

        Raises StoppedError if the training was stopped, TrainingError if it failed, and JobHeldError if the lease was
        lost.
        """
        held = self._hold_record()
        with self._ending_on_error():
            if self._run is not None:
                artifact = self._run.artifact()
                self._ending = Ending(artifact.progress, self.resolved.spec.training)
                for line in self._ending.lines():
                    self._say(f"{self.title}: {line}")
                self._record = self._register(held, artifact)
            record = self._registered()
            if held.state != "finished":
                when = "now" if self._run else "before"
                self._say(f"{self.title}: registered {when}, as {name_of(record)}")
                self._drop_checkpoints()
            return record

    def score(self, context: ScoringContext | None = None) -> Outcome:
        """Score the result and end the job.

        With the ``context`` of a sequence only recipes that use the new module are scored; without it, every pair is.
        Raises the error of an earlier step, if there was one.
        """
        if self.error is not None:
            raise self.error
        held, record = self._hold_record(), self._registered()
        with self._ending_on_error():
            evaluations = self._context.evaluate(self._to_translate(context), self.resolved.spec.beam)
            if held.state != "finished":
                mlflow_payload.track(self._tracker, record, evaluations)
            self._stack.close()
        run = held.run if held.state == "finished" else self._tracker.run
        return Outcome(record, tuple(evaluations), run, self._ending)

    def close(self) -> None:
        """End a job that was not scored as stopped: the lease is released, and the MLflow run ends as killed."""
        self._end(StoppedError("left before it was scored"))

    def affects_others(self, error: ContinualMTError) -> bool:
        """Whether other jobs would meet the error of this one too: a signal, the database, or a lost lease.

        A job that another driver held from the beginning affects no other.
        """
        return isinstance(error, StoppedError | RegistryError) or (self._started and isinstance(error, JobHeldError))

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if isinstance(error, ContinualMTError):
                self.error = error
            self._end(error)
            raise

    def _end(self, error: BaseException) -> None:
        self._stack.__exit__(type(error), error, error.__traceback__)

    def _hold_record(self) -> JobRecord:
        assert self._held is not None, "start was not called"
        return self._held

    def _registered(self) -> Registered:
        assert self._record is not None, "finish was not called"
        return self._record

    @contextmanager
    def _tracked(self, held: JobRecord) -> Iterator[None]:
        job, tags = self.resolved, mlflow_payload.tags(self.resolved, self._sequence)
        with self._context.tracked(self._tracker, held, job.experiment, job.title, tags) as new:
            if new:
                self._tracker.parameters(mlflow_payload.parameters(job))
                self._tracker.text(job.spec.model_dump_json(indent=1), "spec.json")
            yield

    def _describe(self, held: JobRecord) -> None:
        """Note what the job works on, and report unfinished work: its own in another place, or with other settings."""
        job, checkpoints = self.resolved, self._checkpoints()
        note = bring_along(held, checkpoints)
        if note is not None:
            self._say(f"{self.title}: {note}")
        spec = {**job.spec.model_dump(mode="json"), **({"parent": job.experiment} if job.parent else {})}
        folder = checkpoints.place if job.spec.training.updates else None
        self._registry.jobs.describe(job.digest, cast(JSONObject, spec), cast(JSONObject, job.identity), folder)
        if checkpoints.update() is None:
            for text in describe_others(self._registry, self._context.home, job, self._say):
                self._say(f"{self.title}: {text}")

    def _start_training(self) -> TrainingRun:
        job, context = self.resolved, self._context
        if job.spec.training.updates:  # without any, nothing is computed on the back end
            context.connect()
            if job.spec.resources.storage is None:
                context.backend.check_shared([f"the checkpoints in {context.home.jobs}"])
        self._made = make_synthetic(job, self._registry, context.home.cache, context.display)
        if (translated := self._made.back_translated) is not None:
            self._tracker.metrics(mlflow_payload.metrics_of_back_translations(translated.counts), 0)
        run = TrainingRun(
            job,
            context.backend,
            StoredParent.of(self._registry, job.parent) if job.parent else None,
            self._checkpoints(),
            cache=context.home.cache,
            display=context.display,
            on_report=self._track_report,
            made=self._made,
        )
        self._stack.callback(run.close)
        return run

    def _track_report(self, report: ProgressReport) -> None:
        values = {"loss": report.loss, "lr": report.learning_rate, "tokens_per_second": report.tokens_per_second}
        if report.development is not None:
            values["development_bleu"] = report.development
        self._tracker.metrics(values, report.update)

    def _checkpoints(self) -> RunCheckpoints:
        job, held = self.resolved, self._hold_record()
        name = f"{job.kind}-{job.label}-{job.digest[:32]}-{held.attempt}"
        return RunCheckpoints(job.spec.resources.storage or str(self._context.home.jobs), name)

    def _drop_checkpoints(self) -> None:
        """Delete the checkpoints of registered work, except from a storage that the user named."""
        if self.resources.storage is None:
            self._checkpoints().delete()

    def _register(self, held: JobRecord, artifact: TrainedArtifact) -> Registered:
        job, registry = self.resolved, self._registry
        # A driver that lost the lease registers nothing: the new holder does.
        registry.jobs.renew(job.digest, lease.holder_name(), lease.LEASE_SECONDS)
        tests = [with_text(registry, test) for test in job.tests]
        origin = lineage(job, held, self._tracker.run, tests, artifact.environment, self._made.back_translated)
        if isinstance(artifact.content, Parent):
            return registry.register_parent(job.experiment, artifact.content, lineage=origin)
        about = None if artifact.initialisation is None else json_piece(artifact.initialisation)
        if about is not None:
            self._tracker.text(about.decode(), INITIALISATION)
        return registry.register_module(job.experiment, artifact.content, lineage=origin, initialisation=about)

    def _to_translate(self, context: ScoringContext | None) -> list[tuple[Recipe, ResolvedTest]]:
        """Which recipes translate which test sets.

        Alone, a job scores every pair that can be run now, so that a change anywhere is seen. In a sequence, which
        scores all pairs after each addition, a job scores only the recipes that use its module.
        """
        record, registry, job = self._registered(), self._registry, self.resolved
        parent = parent_of(record)
        if context is not None and isinstance(record, ModuleRecord):
            resolver = RecipeResolver.of(registry.parent(parent), [*context.earlier, record])
            tests = context.tests
            possible = resolver.recipes({test.pair for test in tests})
            recipes = [recipe for recipe in possible if record.key in recipe.modules]
        else:
            # The new version is scored even if an alias selects another version for its pair.
            new = [record.full_name] if isinstance(record, ModuleRecord) else []
            tests = tuple(unique_tests([*self._context.known_tests(parent), *job.tests]))
            pairs = {test.pair for test in tests}
            recipes = registry.recipe_catalog.recipes(parent, modules=new, pairs=pairs)
        is_scored = self._hold_record().state == "finished" and not self._context.rescore
        return to_translate(recipes, tests, scored(registry, parent, job.spec.beam) if is_scored else ())


def unique_tests(tests: list[ResolvedTest]) -> list[ResolvedTest]:
    """Each test set once; the last of several with the same pair and text counts."""
    return list({(test.pair, test.digest): test for test in tests}.values())
