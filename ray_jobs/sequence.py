"""A sequence: additions in order, and the scores of every pair after each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.recipe import Recipe, two_encoders
from continual_mt.config.spec import AdditionSpec, SequenceSpec, check_shared
from continual_mt.errors import AdditionsError, ContinualMTError, JobHeldError, SpecError
from continual_mt.languages import Pair
from ray_jobs.driver import Driver
from ray_jobs.execution import lease
from ray_jobs.execution.job import Job, Outcome, ScoringContext, unique_tests
from ray_jobs.execution.scheduler import train_together
from ray_jobs.planning.resolve import ReplayedPair, ResolvedJob, original_text, sequence_digest, sequence_identity
from ray_jobs.tracking import mlflow_payload
from ray_jobs.tracking.figures import log_figures
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import CellRecord, JobRecord, ModuleRecord, ParentRecord, SequenceRecord
from registry.analysis.history import History
from registry.analysis.summary import summarize
from registry.corpora import ResolvedCorpus, ResolvedTest
from registry.evaluation import Evaluation, to_translate
from registry.queries.module_parts import has, lends
from registry.queries.recipe_resolver import RecipeResolver
from registry.records.artifacts import ModuleOutline
from registry.records.sequences import View
from registry.records.values import JSONObject


def add_sequence(driver: Driver, spec: SequenceSpec, after: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Add languages, and call ``after`` after each in order. Raises as the driver's verbs do.

    Additions that do not depend on each other train at the same time, as far as the back end has room for them, and are
    scored in their order once none trains. One that fails does not stop the others; an AdditionsError reports it at the
    end. The scores of every pair after each addition (position 0: before any) go to the registry, and to one MLflow
    run with the position as its step, up to the first addition that failed.
    """
    parent = driver.registry.parent(spec.parent)
    # Everything is read before anything is trained, so that a mistake in the last addition is found now.
    jobs = [driver.resolve(addition) for addition in spec.additions]
    _check_bases(spec, jobs)
    _check_scopes(spec, jobs)
    pairs_of_jobs = [job.pair for job in jobs]
    if len(set(pairs_of_jobs)) < len(jobs):  # a language may be named by its tag and by the parent's code
        doubled = ", ".join(sorted({str(pair) for pair in pairs_of_jobs if pairs_of_jobs.count(pair) > 1}))
        raise SpecError(f"the sequence {spec.name}", [f"{doubled} is listed more than once"])
    _check_encoders(jobs, parent)
    original = original_text(parent, driver.home.cache) if spec.replay else None
    if spec.replay and original is None:
        has_one = parent.languages.only_pair is not None
        why = "no text of the parent {} is on record" if has_one else "the parent {} has several pairs"
        driver.display.say(f"{why.format(parent.name)}: only additions are replayed")
    digest = sequence_digest(spec, jobs, original)
    held = _hold(driver, spec, digest)
    sequence = _Sequence(driver, spec, parent, jobs, digest, original)
    if held.state == "finished":
        return sequence.add_all(after, None)
    identity = cast(JSONObject, sequence_identity(spec, jobs, original))
    driver.registry.jobs.describe(digest, cast(JSONObject, spec.model_dump(mode="json")), identity, None)
    tracker = Tracker(driver.home, driver.display.say)
    tags = {"kind": "sequence", "parent": parent.name, "sequence": spec.name, "mode": spec.mode, "job": digest}
    tags |= {"replay": str(spec.replay)} if spec.replay else {}
    with (
        lease.kept(driver.registry, digest),
        driver.context.tracked(tracker, held, parent.name, f"sequence {spec.name}", tags),
    ):
        # Without a back end no addition can be trained; one error for all of them is enough.
        driver.context.connect()
        _check_size(driver, jobs)
        pairs = tuple(job.pair for job in jobs)
        driver.registry.register_sequence(SequenceRecord(digest, parent.name, spec.name, spec.mode, pairs))
        return sequence.add_all(after, tracker)


def _check_scopes(spec: SequenceSpec, jobs: Sequence[ResolvedJob]) -> None:
    """Refuse scopes, now in the spelling for the parent, that do not share one cross-attention. Raises SpecError."""
    if spec.mode == "shared":
        try:
            check_shared(job.spec.scope for job in jobs if isinstance(job.spec, AdditionSpec))
        except ValueError as error:
            raise SpecError(f"the sequence {spec.name}", [str(error)]) from error


def _check_bases(spec: SequenceSpec, jobs: Sequence[ResolvedJob]) -> None:
    """Refuse additions that are not of one language against the parent. Raises SpecError."""
    others = [job for job in jobs if job.base.rests_on.modules or job.base.side not in ENDS]
    problems = [
        f"{job.pair}: expected a new language and one of the parent, whose sides a sequence measures. "
        "Fix: add this pair with continual-mt add"
        for job in others
    ]
    if problems:
        raise SpecError(f"the sequence {spec.name}", problems)


def _check_encoders(jobs: Sequence[ResolvedJob], parent: ParentRecord) -> None:
    """Refuse a sequence with a pair that would need two encoders. Raises IncompatibleError."""
    modules = [
        ModuleOutline(parent.name, job.pair, 1, job.base.side, job.spec.scope, job.digest)
        for job in jobs
        if isinstance(job.spec, AdditionSpec)
    ]
    for source, target in RecipeResolver.of(parent, modules).two_encoders():
        raise two_encoders(Pair(source.pair.source, target.pair.target), str(source.pair), str(target.pair))


def _check_size(driver: Driver, jobs: Sequence[ResolvedJob]) -> None:
    """Refuse an addition that the cluster is too small for now, not after those before it. Raises ClusterError."""
    for job in jobs:
        known = driver.registry.jobs.get(job.digest)
        if known is None or known.state != "finished":
            driver.backend.check_size(job.title, job.spec.resources)


def _hold(driver: Driver, spec: SequenceSpec, digest: str) -> JobRecord:
    try:
        return driver.context.hold(digest, "sequence")
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
        remaining = list(self.jobs)
        while remaining:
            with self.driver.jobs(self._ready(remaining, modules), self.spec.name) as jobs:
                trained = train_together(jobs, self.driver.backend, self.driver.display.say)
                for job in trained:
                    outcome = self._score(job, modules, failed)
                    if outcome is None:
                        continue
                    assert isinstance(outcome.record, ModuleRecord)
                    outcomes.append(outcome)
                    modules.append(outcome.record)
                    if after:
                        after(outcome)
                    if tracker and not failed:
                        self._record(tracker, modules, outcome.evaluations)
            remaining = remaining[len(trained) :]
        if failed:
            raise AdditionsError(self.spec.name, [f"{title}: {error}" for title, error in failed.items()])
        if tracker:
            self._summarize(tracker)
        return outcomes

    def _score(self, job: Job, modules: list[ModuleRecord], failed: dict[str, ContinualMTError]) -> Outcome | None:
        """Score an addition; None, with its error in ``failed``, if it failed alone."""
        reported = job.error is not None  # as training ended
        try:
            return job.score(ScoringContext(() if self._shared else tuple(modules), self._tests))
        except ContinualMTError as error:
            if self._shared or job.affects_others(error):
                raise
            if not reported:
                self.driver.display.say(f"{job.title}: {error}")
            failed[job.title] = error
            return None

    @property
    def _shared(self) -> bool:
        return self.spec.mode == "shared"

    def _ready(self, remaining: Sequence[ResolvedJob], modules: Sequence[ModuleRecord]) -> Sequence[ResolvedJob]:
        """What can be trained now: all that remains, or only the next addition if each continues from the last."""
        return [self._continuing(remaining[0], modules)] if self._shared else remaining

    def _continuing(self, job: ResolvedJob, modules: Sequence[ModuleRecord]) -> ResolvedJob:
        """An addition that continues from the cross-attention of those before it, and may replay them."""
        replayed = [ReplayedPair(self.original, None)] if self.original else []
        replayed += [ReplayedPair(job.train, module) for job, module in zip(self.jobs, modules, strict=False)]
        return replace(
            job,
            start=modules[-1] if modules else None,
            replay=self.spec.replay,
            replayed=tuple(replayed) if self.spec.replay else (),
        )

    def _summarize(self, tracker: Tracker) -> None:
        """Put the measures and the figures of the whole sequence on its MLflow run."""
        registry = self.driver.registry
        (record,) = (known for known in registry.catalog.sequences(self.parent.name) if known.digest == self.digest)
        history = History.read(registry.catalog, record)
        if history.last is not None:
            summary = summarize(registry.catalog, history)
            tracker.metrics(mlflow_payload.metrics_of_summary(summary), len(self.jobs))
            tracker.text(json.dumps(summary.to_json(), indent=1), "summary.json")
            log_figures(tracker, registry, record, self.driver.display.say)

    def _record(self, tracker: Tracker, modules: Sequence[ModuleRecord], fresh: Sequence[Evaluation]) -> None:
        """Score every pair after these modules and register the scores, unless an earlier try did.

        Pairs that nothing should have changed are measured too: their scores are carried forward only if the logits,
        computed again, are bit-equal. What the addition itself has just measured (``fresh``) is not measured twice.
        """
        position = len(modules)
        known = self.driver.registry.catalog.cells(self.digest)
        before = [cell for cell in known if cell.position == 0]
        cells = [cell for cell in known if cell.position == position]
        if not cells:
            cells = self._measure(modules, fresh)
            self.driver.registry.register_cells(self.digest, position, cells)
        rates = {
            (score.recipe, score.test_digest, score.beam): score.reference_value
            for score in self.driver.registry.scores(parent=self.parent.name, metric="offtarget")
            if score.reference_value is not None
        }
        tracker.metrics(mlflow_payload.metrics_of_cells(cells, before if position else (), rates), position)
        tracker.table(*mlflow_payload.table_of_cells(cells), f"position-{position}.json")

    def _measure(self, modules: Sequence[ModuleRecord], fresh: Sequence[Evaluation]) -> list[CellRecord]:
        beam = self.jobs[0].spec.beam
        shown = views(self.parent, modules, self.spec.mode, {test.pair for test in self._tests})
        measured = {
            (evaluation.recipe.digest, score.test_digest): evaluation
            for evaluation in fresh
            for score in evaluation.scores
            if score.beam == beam
        }
        work = to_translate([recipe for _, recipe in shown], self._tests, known=measured)
        for (recipe, test), evaluation in zip(work, self.driver.context.evaluate(work, beam), strict=True):
            measured[recipe.digest, test.digest] = evaluation
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
                carried=measured[recipe.digest, test.digest].carried,
            )
            for view, recipe in shown
            for test in self._tests
            if test.pair == recipe.pair
            for score in measured[recipe.digest, test.digest].scores
        ]

    @cached_property
    def _tests(self) -> tuple[ResolvedTest, ...]:
        """One fixed set of test sets for all positions: those of earlier jobs and of all additions."""
        own = [test for job in self.jobs for test in job.tests]
        return tuple(unique_tests([*self.driver.context.known_tests(self.parent.name), *own]))


def views(
    parent: ParentRecord, modules: Sequence[ModuleRecord], mode: str, pairs: Collection[Pair]
) -> list[tuple[View, Recipe]]:
    """What is scored after the first modules of a sequence, the last of which was trained last.

    Routed, every pair has its own recipe. Through the newest cross-attention, the trained pairs have only their own
    sides: what the paper calls forgetting. If one cross-attention is shared, every pair uses it. Of the pairs with
    languages that a parent of several has, only ``pairs`` are scored.
    """
    resolver = RecipeResolver.of(parent, modules)
    if mode == "shared":
        return [("shared", _through_newest(resolver, recipe, modules)) for recipe in resolver.pairs(pairs)]
    routed: list[tuple[View, Recipe]] = [("routed", recipe) for recipe in resolver.pairs(pairs)]
    if modules and modules[-1].scope == "scratch":
        return routed  # such a module does not combine with anything else
    supervised = [resolver.supervised(module) for module in modules if module.scope != "scratch"]
    trained = [*resolver.originals(pairs), *supervised]
    return [*routed, *(("through", _through_newest(resolver, recipe, modules)) for recipe in trained)]


def _through_newest(resolver: RecipeResolver, recipe: Recipe, modules: Sequence[ModuleRecord]) -> Recipe:
    """Return the recipe with what the newest module stores between the sides, or the parent's if it stores nothing.

    A source side that brings its own encoder keeps it, so that a newer module's encoder has no part in such a pair.
    """
    newest = modules[-1] if modules else None
    if newest is None or not lends(newest):
        return resolver.through(recipe, None)
    if has(newest, "encoder") and resolver.source_encoder(recipe) is not None:
        return recipe
    return resolver.through(recipe, newest)
