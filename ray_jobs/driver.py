"""The driver of a job: from a spec to a registered parent or module with its scores.

Only the driver opens the database."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import IncompatibleError, RegistryError, StoppedError
from continual_mt.home import Home
from continual_mt.training.progress import ProgressReport
from ray_jobs.cluster import connection
from ray_jobs.cluster.evaluation_tasks import evaluate_as_tasks
from ray_jobs.cluster.ray_trainer import Training
from ray_jobs.console import Display
from ray_jobs.execution import lease
from ray_jobs.execution.evaluation import Evaluation, evaluate, scoring_work, with_text
from ray_jobs.execution.make import Made, make
from ray_jobs.execution.scheduler import trained
from ray_jobs.execution.work import Outcome, Place, Steps, Work
from ray_jobs.planning.resolve import ResolvedJob, ResolvedTest, known_tests, resolve
from ray_jobs.tracking import describe
from ray_jobs.tracking.describe import Registered
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import JobRecord, ModuleRecord, Registry
from registry.queries.recipe_resolver import RecipeResolver


class Driver:
    """Runs jobs on one registry and one cluster, which is started when first needed and shared by all that follow.

    Use as a context manager. ``again`` trains finished work anew. Every verb raises MisuseError before anything is
    trained or written, FailureError otherwise; started again with the same spec it goes on where it was.
    """

    def __init__(
        self, home: Home, *, address: str | None = None, again: bool = False, display: Display | None = None
    ) -> None:
        self.home, self.address, self.again = home, address, again
        self.display = display or Display()
        self._stack = ExitStack()
        self._registry: Registry | None = None
        self._connected = False

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = self._stack.enter_context(Registry.open(self.home.path))
        return self._registry

    def train_parent(self, spec: ParentSpec) -> Outcome:
        """Train a parent and register it under the spec's name."""
        job = resolve(spec, None, self.home.cache)
        # The first thing that is written, once nothing in the spec is wrong.
        self._registry = self._registry or self._stack.enter_context(Registry.open(self.home.path, create=True))
        self._check_name(spec, job)
        return self.run(job)

    def _check_name(self, spec: ParentSpec, job: ResolvedJob) -> None:
        """A parent is frozen for ever: its name is never given to another, and it has no second name."""
        self.registry.catalog.check_not_deleted(spec.name)
        for parent in self.registry.parents():
            if parent.name == spec.name and (self.again or parent.lineage.job != job.digest):
                raise IncompatibleError(
                    f"{self.registry.name} has a parent {spec.name} already, and a parent is never replaced; "
                    "choose another name"
                )
            if parent.name != spec.name and parent.lineage.job == job.digest:
                raise IncompatibleError(f"just this work is registered already, as the parent {parent.name}; use it")

    def add_language(self, spec: AdditionSpec) -> Outcome:
        """Add a language to a parent and register its module."""
        return self.run(resolve(spec, self.registry.parent(spec.parent), self.home.cache))

    def take(self, digest: str, kind: str) -> JobRecord:
        """Hold a job; one that is finished is given back as it is, or made a new attempt where that was asked for."""
        held = lease.take(self.registry, digest, kind)
        if held.state == "finished" and self.again:
            self.registry.jobs.again(digest)
            held = lease.take(self.registry, digest, kind)
        return held

    @contextmanager
    def tracked(
        self, tracker: Tracker, held: JobRecord, experiment: str, name: str, tags: Mapping[str, str]
    ) -> Iterator[bool]:
        """A job's MLflow run, the same one through retries, ended as the job ends; yields whether it is new."""
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

    def run(self, job: ResolvedJob) -> Outcome:
        """Do a resolved job."""
        with self.trained(deque([job])) as (work,):
            return work.score()

    def trained(self, queue: deque[ResolvedJob], sequence: str | None = None) -> AbstractContextManager[Sequence[Work]]:
        """The first jobs of a queue, trained together and to be scored: `together.trained`."""
        return trained(queue, lambda job: Work(job, self._steps(job, sequence)), self.display.say)

    def _steps(self, job: ResolvedJob, sequence: str | None) -> Steps:
        held = self.take(job.digest, job.kind)
        if held.state != "finished":
            with lease.kept(self.registry, job.digest):
                return (yield from self._work(job, held, sequence))
        record = self._registered(job, held)
        if record is None:
            raise RegistryError(
                f"job {job.digest[:12]} is finished, but what it made is not in {self.registry.name}; use --again"
            )
        self.display.say(f"{job.title}: done before, as {describe.name_of(record)}")
        place = yield None
        return Outcome(record, False, tuple(self._score(job, record, place, only_missing=True)), held.run)

    def _work(self, job: ResolvedJob, held: JobRecord, sequence: str | None) -> Steps:
        tracker = Tracker(self.home, self.display.say)
        tags = describe.tags(job, sequence)
        with self.tracked(tracker, held, job.experiment, job.title, tags) as new:
            if new:
                tracker.parameters(describe.parameters(job))
                tracker.text(job.spec.model_dump_json(indent=1), "spec.json")
            record = self._registered(job, held)
            trained_now = record is None
            if record is None:
                record = yield from self._train(job, held, tracker)
            when = "now" if trained_now else "before"
            self.display.say(f"{job.title}: registered {when}, as {describe.name_of(record)}")
            self._drop_checkpoints(job, held)
            place = yield None
            evaluations = self._score(job, record, place, only_missing=False)
            describe.track(tracker, record, evaluations)
        return Outcome(record, trained_now, tuple(evaluations), tracker.run)

    def _registered(self, job: ResolvedJob, held: JobRecord) -> Registered | None:
        """What this attempt of the job registered, if it came so far."""
        records: list[Registered] = [*self.registry.parents(), *self.registry.modules()]
        for record in records:
            if record.lineage.job == job.digest and record.lineage.attempt == held.attempt:
                return record
        return None

    def _train(self, job: ResolvedJob, held: JobRecord, tracker: Tracker) -> Generator[Training, None, Registered]:
        self.connect()
        if job.spec.resources.storage is None:
            connection.check_shared(len(connection.nodes()), [f"the checkpoints in {self.home.jobs}"])

        def told(report: ProgressReport) -> None:
            values = {
                "loss": report.loss,
                "lr": report.learning_rate,
                "tokens_per_second": report.tokens_per_second,
            }
            if report.development is not None:
                values["development_bleu"] = report.development
            tracker.metrics(values, report.update)

        made = yield from make(
            job,
            name=self._run_name(job, held),
            storage=self._storage(job),
            blobs=self.registry.blobs,
            cache=self.home.cache,
            display=self.display,
            told=told,
        )
        return self._register(job, held, made, tracker.run)

    def connect(self) -> None:
        """Start Ray, or connect to it, unless that was done. Raises ClusterError for a cluster that cannot be used."""
        if self._connected:
            return
        self._stack.enter_context(connection.connected(self.address))
        self._connected = True
        connection.check_shared(len(connection.nodes()), self.registry.storage.local_parts)

    def _storage(self, job: ResolvedJob) -> str:
        return job.spec.resources.storage or str(self.home.jobs)

    def _run_name(self, job: ResolvedJob, held: JobRecord) -> str:
        return f"{job.kind}-{job.pair}-{job.digest[:32]}-{held.attempt}"

    def _drop_checkpoints(self, job: ResolvedJob, held: JobRecord) -> None:
        """Registered work needs its checkpoints no more; what lies outside the home is the user's to keep or remove."""
        if job.spec.resources.storage is None:
            shutil.rmtree(Path(self._storage(job)) / self._run_name(job, held), ignore_errors=True)

    def _register(self, job: ResolvedJob, held: JobRecord, made: Made, run: str | None) -> Registered:
        # Whoever lost the lease registers nothing: its new holder will.
        self.registry.jobs.renew(job.digest, lease.holder_name(), lease.LEASE_SECONDS)
        tests = [with_text(self.registry, test) for test in job.tests]
        lineage = describe.lineage(job, held, run, tests, made.environment)
        if isinstance(made.content, Parent):
            return self.registry.register_parent(job.experiment, made.content, lineage=lineage)
        return self.registry.register_module(job.experiment, made.content, lineage=lineage)

    def tests(self, job: ResolvedJob, parent: str) -> tuple[ResolvedTest, ...]:
        """The job's own test sets and those that earlier work on the same parent named, each once."""
        records: list[Registered] = [self.registry.parent(parent), *self.registry.modules(parent)]
        earlier = known_tests([record.lineage.spec for record in records], self.home.cache, self.display.say)
        tests = {(test.pair, test.digest): test for test in [*earlier, *job.tests]}
        return tuple(tests.values())

    def _score(
        self, job: ResolvedJob, record: Registered, place: Place | None, *, only_missing: bool
    ) -> list[Evaluation]:
        """Score every pair that can be run now, so that what an addition changed anywhere is seen.

        In a sequence, which looks at all pairs behind each addition, only those that the new module has a part in.
        """
        parent = describe.parent_of(record)
        if place is not None and isinstance(record, ModuleRecord):
            resolver, tests = RecipeResolver.of(self.registry.parent(parent), [*place.beside, record]), place.tests
            recipes = [recipe for recipe in resolver.recipes() if record.key in recipe.modules]
        else:
            # What is new is scored also where an alias keeps its pair with another version.
            new = [record.full_name] if isinstance(record, ModuleRecord) else []
            recipes, tests = self.registry.recipe_catalog.recipes(parent, modules=new), self.tests(job, parent)
        work = scoring_work(self.registry, recipes, tests, job.spec.beam, only_missing=only_missing)
        return self.evaluate(work, job.spec.beam)

    def evaluate(self, work: Sequence[tuple[Recipe, ResolvedTest]], beam: int) -> list[Evaluation]:
        """Score recipes on test sets: as Ray's tasks where the cluster runs already, and one by one here otherwise."""
        if self._connected and len(work) > 1:
            with self.display.counting("scoring", len(work)) as progress:
                found = evaluate_as_tasks(self.registry, work, beam, progress)
        else:
            found = [self._evaluate_here(recipe, test, beam) for recipe, test in work]
        for (_, test), evaluation in zip(work, found, strict=True):
            values = ", ".join(f"{score.metric} {score.value:.1f}" for score in evaluation.scores)
            self.display.say(f"{evaluation.title} on {test.name}: {values}")
        return found

    def _evaluate_here(self, recipe: Recipe, test: ResolvedTest, beam: int) -> Evaluation:
        with self.display.counting(f"scoring {recipe.pair} {recipe.kind}", len(test.sources)) as progress:
            return evaluate(self.registry, recipe, test, beam, progress)
