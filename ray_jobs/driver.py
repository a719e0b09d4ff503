"""The driver: from specs to registered parents and modules with their scores. Only the driver opens the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.data.corpora.read_once import keep
from continual_mt.errors import ContinualMTError, IncompatibleError, SpecError
from continual_mt.home import Home, give_user_folder
from continual_mt.import_path import WithoutCurrentFolder
from ray_jobs.console import Display
from ray_jobs.execution.backend import TrainingBackend
from ray_jobs.execution.context import JobContext
from ray_jobs.execution.job import Job, Outcome
from ray_jobs.execution.scheduler import train_together
from ray_jobs.planning.back_translation import find_recipe
from ray_jobs.planning.base import Base, find_base
from ray_jobs.planning.denoising import FrozenSide, find_frozen_side
from ray_jobs.planning.initialisation import has_text, with_word_translations
from ray_jobs.planning.notes import notes_on_start, notes_on_text
from ray_jobs.planning.piped_text import with_kept_texts
from ray_jobs.planning.resolve import ResolvedJob, earlier_job, resolve
from registry import ParentRecord, Registry


class Driver:
    """Runs jobs on one registry and one back end, which starts when first needed and which all jobs share.

    Use as a context manager. Jobs train on the Ray cluster at ``address``, else at ``RAY_ADDRESS``, else on one that is
    started here; with ``in_process`` they train in this process, without Ray. ``again`` trains finished work a second
    time; ``rescore`` translates every pair again, also those whose logits are unchanged. Every verb raises MisuseError
    before anything is trained or written, FailureError otherwise; called again with the same spec it continues from its
    last checkpoint.
    """

    def __init__(
        self,
        home: Home,
        *,
        address: str | None = None,
        again: bool = False,
        rescore: bool = False,
        in_process: bool = False,
        display: Display | None = None,
    ) -> None:
        self.home, self.again, self.rescore = home, again, rescore
        self.display = display or Display()
        give_user_folder()
        with ExitStack() as stack:
            stack.enter_context(WithoutCurrentFolder())
            self.backend = make_backend(address, in_process)
            self._stack = stack.pop_all()
        self._stack.callback(self.backend.close)
        self._registry: Registry | None = None
        self._inputs: dict[Path, Path] = {}

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = self._stack.enter_context(Registry.open(self.home.path))
        return self._registry

    @property
    def context(self) -> JobContext:
        return JobContext(self.registry, self.home, self.backend, self.display, self.again, self.rescore)

    def train_parent(self, spec: ParentSpec) -> Outcome:
        """Train a parent and register it under the spec's name."""
        job = self.resolve(spec)
        # The first thing that is written, once the spec is known to be sound.
        self._registry = self._registry or self._stack.enter_context(Registry.open(self.home.path, create=True))
        job = self._as_registered(spec, job)
        self._check_name(spec, job)
        outcome = self.run(job)
        trained = outcome.record if outcome.trained_now else None
        if isinstance(trained, ParentRecord) and has_text(trained):  # while the text is surely there
            try:
                return replace(outcome, record=self._with_table(trained, False))
            except ContinualMTError as error:
                self.display.say(f"{error}; the word translations are counted when the first language is added")
        return outcome

    def _as_registered(self, spec: ParentSpec, job: ResolvedJob) -> ResolvedJob:
        """The job under the digest of an earlier version, if that version made the parent of this name."""
        earlier = earlier_job(spec, job)
        made = {parent.lineage.job for parent in self.registry.parents() if parent.name == spec.name}
        return earlier if earlier.digest in made else job

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
        return self.run(self.resolve(spec))

    def resolve(self, spec: ParentSpec | AdditionSpec) -> ResolvedJob:
        """Read every corpus of a spec and fill in its defaults. Raises all misuse found at once.

        Resources that the back end does not have are refused before anything is read.
        """
        self.backend.check_resources(_title(spec), spec.resources)
        parent = self.registry.parent(spec.parent) if isinstance(spec, AdditionSpec) else None
        spec = with_kept_texts(spec, self._kept)
        find = self._find_base, self._find_recipe, self._find_frozen_side
        job = resolve(spec, parent, self.home.cache, self._with_table, *find)
        for note in [*notes_on_text(job), *notes_on_start(spec, job)]:
            self.display.say(f"{job.title}: {note}")
        return job

    def _kept(self, path: Path) -> Path:
        """The file that keeps an input which can be read only once; additions of a sequence may share one."""
        if path not in self._inputs:
            self._inputs[path] = keep(path, self.home.inputs)
            self.display.say(f"{path} can be read only once; its text is kept in {self._inputs[path]}")
        return self._inputs[path]

    def _with_table(self, parent: ParentRecord, has_lexicon: bool) -> ParentRecord:
        return with_word_translations(self.registry, parent, self.home.cache, self.display, has_lexicon=has_lexicon)

    def _find_base(self, parent: ParentRecord, spec: AdditionSpec) -> Base:
        return find_base(self.registry, parent, spec)

    def _find_recipe(self, spec: AdditionSpec) -> AnyRecipe:
        return find_recipe(self.registry, self.registry.parent(spec.parent).name, spec)

    def _find_frozen_side(self, spec: AdditionSpec, base: Base) -> FrozenSide:
        return find_frozen_side(self.registry, self.registry.parent(spec.parent), spec, base)

    def run(self, job: ResolvedJob) -> Outcome:
        """Train, register and score a resolved job."""
        with self.jobs([job]) as jobs:
            (trained,) = train_together(jobs, self.backend, self.display.say)
            return trained.score()

    @contextmanager
    def jobs(self, resolved: Sequence[ResolvedJob], sequence: str | None = None) -> Iterator[list[Job]]:
        """Jobs to start; those that are not scored in the context are left as stopped."""
        jobs = [Job(self.context, job, sequence) for job in resolved]
        try:
            yield jobs
        finally:
            for job in jobs:
                job.close()


def _title(spec: ParentSpec | AdditionSpec) -> str:
    """The title of the job that a spec becomes, as `ResolvedJob.title`."""
    return f"{spec.pair} {spec.scope}" if isinstance(spec, AdditionSpec) else f"parent {spec.pair or spec.name}"


def make_backend(address: str | None, in_process: bool) -> TrainingBackend:
    """The back end for a driver's options; each imports only the libraries that it needs. Raises SpecError for both."""
    if in_process:
        if address:
            raise SpecError(
                "where to train",
                [f"in_process and the address {address} exclude each other. Fix: give one of them"],
            )
        from ray_jobs.execution.local_backend import LocalBackend

        return LocalBackend()
    from ray_jobs.cluster.ray_backend import RayBackend

    return RayBackend(address)
