"""The parent, and the chains: each language routed by its own modules, and one cross-attention for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from continual_mt.artifacts.recipe import Recipe
from continual_mt.config.loading import validate
from continual_mt.config.spec import ParentSpec, SequenceSpec
from experiments.many.run import Run
from experiments.many.settings import (
    ADDED,
    ADDITION_TRAINING,
    BEAM,
    COMMON,
    PARENT,
    PARENT_TRAINING,
    UPDATES,
    VOCABULARY,
)
from experiments.run import Row, of_module, read_rows, timed
from ray_jobs.execution.job import Outcome
from ray_jobs.sequence import add_sequence
from registry import ModuleRecord, ParentRecord, Registry
from registry.carried_scores import carried_evaluations
from registry.maintenance.backup import backup

ORIGINALS = ("es-en", "en-es")


def train_parent(run: Run) -> None:
    """Train the parent and score its pairs.

    Each language has its own vocabulary (``vocabularies: own``), as each added one has, so that all pairs are computed
    alike and the start of a new language can be counted from English to English types.
    """
    values = {
        "name": PARENT,
        "pairs": [run.keys(pair) for pair in ORIGINALS],
        "vocabularies": "own",
        "vocabulary": {"source": VOCABULARY, "target": VOCABULARY},
        "training": PARENT_TRAINING,
        **COMMON,
    }
    with timed() as taken:
        outcome = run.driver.train_parent(validate(ParentSpec, values, origin=PARENT, base=run.text))
    assert isinstance(outcome.record, ParentRecord)
    environment = outcome.record.lineage.environment or {}
    labels = {"updates": PARENT_TRAINING["updates"], "bytes": outcome.record.bytes, **taken}
    labels |= {"computed_in": environment.get("precision")}
    for pair in ORIGINALS:
        if not run.is_known(part="parent", pair=pair):
            run.append({"part": "parent", "pair": pair, **labels, **run.scored(run.recipe(pair, "original"))})


def copy_parent(folder: Path, name: str) -> None:
    """Make the home of a chain a copy of the parent's, unless it is there."""
    if not (folder / name / "registry.db").exists():
        with Registry.open(folder / "parent") as registry:
            backup(registry, folder / name)


def routed(run: Run) -> None:
    """Add each language as a source, then as a target; measure the new pairs, then those that stood before."""
    for pair in ORIGINALS:
        run.scored(run.recipe(pair, "original"))
    for language in ADDED:
        for pair in (f"{language}-en", f"en-{language}"):
            add_routed(run, pair)


def add_routed(run: Run, pair: str) -> None:
    labels = {"part": "routed", "pair": pair, "start": run.start, "updates": UPDATES}
    if run.is_known(**labels):
        return
    before = [*ORIGINALS, *(one for one in sources(run) if one != f"{pair.removeprefix('en-')}-en")]
    _, made = run.add(pair, scope="half", **addition(run))
    scores = run.scored(run.recipe(pair, "supervised"))
    later = unchanged(run, before) if pair.startswith("en-") else {}
    run.append({**labels, **made, **scores, **later})


def addition(run: Run) -> dict[str, Any]:
    """The keys of how the embeddings of a new language start."""
    return {"initialisation": "lexical", "init_language": run.start, "vocabulary": VOCABULARY}


def sources(run: Run) -> list[str]:
    """The pairs of sources that were added and scored, in the order in which they were."""
    rows = read_rows(run.results)
    chosen = [row["pair"] for row in rows if (row["part"], row.get("start")) == ("routed", run.start)]
    return [pair for pair in chosen if pair.endswith("-en")]


def unchanged(run: Run, pairs: Sequence[str]) -> Row:
    """Compute the logits of pairs that stood before once more; returns how many are bit-equal, and mean scores."""
    work = []
    for pair in pairs:
        recipe = run.recipe(pair, "original" if pair in ORIGINALS else "supervised")
        assert isinstance(recipe, Recipe)
        work.append((recipe, run.test(pair)))
    carried = carried_evaluations(run.driver.registry, work, BEAM).values()
    values = {
        metric: [score.value for evaluation in carried for score in evaluation.scores if score.metric == metric]
        for metric in ("bleu", "chrf")
    }
    means = {f"before_{metric}": round(fmean(found), 2) for metric, found in values.items() if found}
    return {"before": len(pairs), "before_equal": len(carried), **means}


def xattn(run: Run) -> None:
    """Add each language as a source as the shared chain does, but each from the parent: what sharing changes."""
    for pair in (f"{language}-en" for language in ADDED):
        labels = {"part": "xattn", "pair": pair, "start": run.start, "updates": UPDATES}
        if not run.is_known(**labels):
            _, made = run.add(pair, scope="xattn", **addition(run))
            run.append({**labels, **made, **run.scored(run.recipe(pair, "supervised"))})


def shared(run: Run) -> None:
    """Add each language as a source in one sequence that goes on training one cross-attention."""
    if run.is_known(part="shared", position=len(ADDED), start=run.start, updates=UPDATES):
        return
    pairs = [f"{language}-en" for language in ADDED]
    originals = [{"pair": pair, **run.corpus(pair, "test")} for pair in ORIGINALS]
    additions = [
        {**run.keys(pair), "tests": [{"pair": pair, **run.corpus(pair, "test")}, *originals]} for pair in pairs
    ]
    common = {**COMMON, **addition(run), "scope": "xattn", "training": ADDITION_TRAINING}
    values = {"name": "shared", "parent": PARENT, "mode": "shared", "additions": additions, **common}
    spec = validate(SequenceSpec, values, origin="shared", base=run.text)
    cells = SharedCells(run)
    add_sequence(run.driver, spec, after=cells.note)
    cells.append_new()


class SharedCells:
    """Appends the scores of all pairs after each addition of the shared sequence, as soon as they are registered."""

    def __init__(self, run: Run) -> None:
        self._run, self._started = run, time.monotonic()
        self._made: dict[int, Row] = {0: {}}

    def note(self, outcome: Outcome) -> None:
        """Note an addition; its scores are registered after this, so those of the one before are appended now."""
        assert isinstance(outcome.record, ModuleRecord)
        seconds, self._started = time.monotonic() - self._started, time.monotonic()
        made = of_module(outcome.record)
        if outcome.trained_now:
            made["seconds_with_scores"] = round(seconds, 1)
        self._made[len(self._made)] = made
        self.append_new()

    def append_new(self) -> None:
        catalog = self._run.driver.registry.catalog
        cells = [cell for one in catalog.sequences(PARENT) for cell in catalog.cells(one.digest)]
        found: dict[tuple[int, str], Row] = {}
        for cell in cells:
            row = found.setdefault((cell.position, str(cell.pair)), {})
            row[cell.metric] = round(cell.value, 2)
        for (position, pair), scores in sorted(found.items()):
            labels = {
                "part": "shared",
                "position": position,
                "pair": pair,
                "start": self._run.start,
                "updates": UPDATES,
            }
            if position in self._made and not self._run.is_known(**labels):
                newest = {"newest": f"{ADDED[position - 1]}-en"} if position else {}
                self._run.append({**self._made[position], **labels, **newest, **scores})
