"""A sequence: additions in order, and behind each what every pair scores."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.spec import SequenceSpec
from continual_mt.errors import AdditionsError, ContinualMTError, JobHeldError
from ray_jobs.cluster import connection
from ray_jobs.driver import Driver
from ray_jobs.execution import lease
from ray_jobs.execution.evaluation import Evaluation
from ray_jobs.execution.work import Outcome, Place
from ray_jobs.planning.resolve import (
    ReplayedPair,
    ResolvedCorpus,
    ResolvedJob,
    ResolvedTest,
    original_text,
    resolve,
    sequence_digest,
)
from ray_jobs.tracking import describe
from ray_jobs.tracking.figures import log_figures
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import CellRecord, JobRecord, ModuleRecord, ParentRecord, SequenceRecord
from registry.analysis.history import History
from registry.analysis.summary import summarize
from registry.queries.recipe_resolver import RecipeResolver, has
from registry.records.sequences import View


def add_sequence(driver: Driver, spec: SequenceSpec, after: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Add languages, calling ``after`` behind each in order. Raises as the driver's verbs do.

    Additions that need nothing of each other train at the same time, as far as the cluster has room for them, and are
    scored in their order once none trains. One that fails keeps no other up; an AdditionsError tells of it at the end.
    What every pair scores behind each addition (position 0: before any) goes to the registry, and to one MLflow run,
    with the position as its step, up to the first that failed.
    """
    parent = driver.registry.parent(spec.parent)
    # Everything is read before anything is trained: a mistake in the last addition is found now.
    jobs = [resolve(addition, parent, driver.home.cache) for addition in spec.additions]
    original = original_text(parent, driver.home.cache) if spec.replay else None
    if spec.replay and original is None:
        driver.display.say(f"no text of the parent {parent.name} is on record: only additions are replayed")
    digest = sequence_digest(spec, jobs, original)
    held = _hold(driver, spec, digest)
    sequence = _Sequence(driver, spec, parent, jobs, digest, original)
    if held.state == "finished":
        return sequence.add_all(after, None)
    tracker = Tracker(driver.home, driver.display.say)
    tags = {"kind": "sequence", "parent": parent.name, "sequence": spec.name, "mode": spec.mode, "job": digest}
    tags |= {"replay": str(spec.replay)} if spec.replay else {}
    with (
        lease.kept(driver.registry, digest),
        driver.tracked(tracker, held, parent.name, f"sequence {spec.name}", tags),
    ):
        # Without a cluster no addition can be trained: that is not for each of them to find.
        driver.connect()
        _check_size(driver, jobs)
        pairs = tuple(job.pair for job in jobs)
        driver.registry.register_sequence(SequenceRecord(digest, parent.name, spec.name, spec.mode, pairs))
        return sequence.add_all(after, tracker)


def _check_size(driver: Driver, jobs: Sequence[ResolvedJob]) -> None:
    """An addition that the cluster is too small for would be found only after all before it. Raises ClusterError."""
    for job in jobs:
        known = driver.registry.jobs.get(job.digest)
        if known is None or known.state != "finished":
            connection.check_size(job.title, job.spec.resources)


def _hold(driver: Driver, spec: SequenceSpec, digest: str) -> JobRecord:
    try:
        return driver.take(digest, "sequence")
    except JobHeldError as error:
        raise JobHeldError(f"the sequence {spec.name}: {error}") from error


@dataclass(frozen=True)
class _Sequence:
    driver: Driver
    spec: SequenceSpec
    parent: ParentRecord
    jobs: Sequence[ResolvedJob]
    digest: str
    original: ResolvedCorpus | None = None

    def add_all(self, after: Callable[[Outcome], None] | None, tracker: Tracker | None) -> list[Outcome]:
        """Every addition, trained now or before; with a tracker, every position is recorded."""
        outcomes: list[Outcome] = []
        modules: list[ModuleRecord] = []
        failed: dict[str, ContinualMTError] = {}
        if tracker:
            self._record(tracker, modules, ())
        waiting = deque(self.jobs)
        while waiting:
            with self.driver.trained(self._ready(waiting, modules), self.spec.name) as works:
                for work in works:
                    try:
                        outcome = work.score(Place(() if self._shared else tuple(modules), self._tests))
                    except ContinualMTError as error:
                        if self._shared or work.ends_all(error):
                            raise
                        if work.error is None:  # else it was told of as training ended
                            self.driver.display.say(f"{work.job.title}: {error}")
                        failed[work.job.title] = error
                        continue
                    assert isinstance(outcome.record, ModuleRecord)
                    outcomes.append(outcome)
                    modules.append(outcome.record)
                    if after:
                        after(outcome)
                    if tracker and not failed:
                        self._record(tracker, modules, outcome.evaluations)
        if failed:
            raise AdditionsError(self.spec.name, [f"{title}: {error}" for title, error in failed.items()])
        if tracker:
            self._summarize(tracker)
        return outcomes

    @property
    def _shared(self) -> bool:
        return self.spec.mode == "shared"

    def _ready(self, waiting: deque[ResolvedJob], modules: Sequence[ModuleRecord]) -> deque[ResolvedJob]:
        """What can be trained now: all that waits, or where each goes on with the one before, the next alone."""
        return deque([self._behind(waiting.popleft(), modules)]) if self._shared else waiting

    def _behind(self, job: ResolvedJob, modules: Sequence[ModuleRecord]) -> ResolvedJob:
        """An addition that shares the cross-attention of those before it: it goes on with it, and may replay them."""
        replayed = [ReplayedPair(self.original, None)] if self.original else []
        replayed += [ReplayedPair(job.train, module) for job, module in zip(self.jobs, modules, strict=False)]
        return replace(
            job,
            start=modules[-1] if modules else None,
            replay=self.spec.replay,
            replayed=tuple(replayed) if self.spec.replay else (),
        )

    def _summarize(self, tracker: Tracker) -> None:
        """The measures and the pictures of the whole sequence, on its MLflow run."""
        registry = self.driver.registry
        (record,) = (known for known in registry.catalog.sequences(self.parent.name) if known.digest == self.digest)
        history = History.read(registry.catalog, record)
        if history.last is not None:
            summary = summarize(registry.catalog, history)
            tracker.metrics(describe.metrics_of_summary(summary), len(self.jobs))
            tracker.text(json.dumps(summary.to_json(), indent=1), "summary.json")
            log_figures(tracker, registry, record, self.driver.display.say)

    def _record(self, tracker: Tracker, modules: Sequence[ModuleRecord], fresh: Sequence[Evaluation]) -> None:
        """Score what stands behind these modules and note it, unless an earlier try did.

        Every pair is translated anew, those that nothing should have changed, too: the record shows it, and does not
        suppose it. What the addition itself measured a moment ago (``fresh``) is not measured twice.
        """
        position = len(modules)
        cells = [cell for cell in self.driver.registry.catalog.cells(self.digest) if cell.position == position]
        if not cells:
            cells = self._measure(modules, fresh)
            self.driver.registry.register_cells(self.digest, position, cells)
        tracker.metrics(describe.metrics_of_cells(cells), position)

    def _measure(self, modules: Sequence[ModuleRecord], fresh: Sequence[Evaluation]) -> list[CellRecord]:
        beam = self.jobs[0].spec.beam
        measured = {
            (evaluation.recipe.digest, score.test_digest): evaluation
            for evaluation in fresh
            for score in evaluation.scores
            if score.beam == beam
        }
        seen = [
            (view, recipe, test)
            for view, recipe in views(self.parent, modules, self.spec.mode)
            for test in self._tests
            if test.pair == recipe.pair
        ]
        missing = {(r.digest, t.digest): (r, t) for _, r, t in seen if (r.digest, t.digest) not in measured}
        for key, evaluation in zip(missing, self.driver.evaluate(list(missing.values()), beam), strict=True):
            measured[key] = evaluation
        newest = modules[-1].full_name if modules else None
        return [
            CellRecord(
                sequence=self.digest,
                position=len(modules),
                view=view,
                pair=recipe.pair,
                kind=recipe.kind,
                recipe=recipe.digest,
                module=newest,
                test=test.name,
                test_digest=test.digest,
                metric=score.metric,
                value=score.value,
                beam=beam,
            )
            for view, recipe, test in seen
            for score in measured[recipe.digest, test.digest].scores
        ]

    @cached_property
    def _tests(self) -> tuple[ResolvedTest, ...]:
        """One fixed set of test sets for all positions."""
        found = [test for job in self.jobs for test in self.driver.tests(job, self.parent.name)]
        return tuple({(test.pair, test.digest): test for test in found}.values())


def views(parent: ParentRecord, modules: Sequence[ModuleRecord], mode: str) -> list[tuple[View, Recipe]]:
    """What is scored behind the first modules of a sequence, the last of which was trained last.

    Routed, every pair has its own recipe. Through the newest cross-attention, the pairs that were trained have their
    own sides only: what the paper calls forgetting. Where one cross-attention is shared, every pair goes through it.
    """
    resolver = RecipeResolver.of(parent, modules)
    if mode == "shared":
        return [("shared", _through_newest(resolver, recipe, modules)) for recipe in resolver.pairs()]
    routed: list[tuple[View, Recipe]] = [("routed", recipe) for recipe in resolver.pairs()]
    if modules and modules[-1].scope == "scratch":
        return routed  # nothing of such a module goes together with anything else
    trained = [resolver.original(), *(resolver.supervised(module) for module in modules if module.scope != "scratch")]
    return [*routed, *(("through", _through_newest(resolver, recipe, modules)) for recipe in trained)]


def _through_newest(resolver: RecipeResolver, recipe: Recipe, modules: Sequence[ModuleRecord]) -> Recipe:
    """A module without a cross-attention of its own uses its parent's."""
    newest = modules[-1] if modules else None
    return resolver.through(recipe, newest if newest and has(newest, "cross_attention") else None)
