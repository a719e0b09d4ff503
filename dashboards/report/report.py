"""The report: every view of the registry in one HTML file that loads nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.charts import figures
from dashboards.charts.web_chart import web_figure, web_title
from dashboards.report.document import render
from dashboards.tables.annotations import annotation_facts, module_tables, module_title
from dashboards.tables.artifacts import languages_of
from dashboards.tables.table import Table
from dashboards.views.alignment import EXPLAINED, NOTHING_KEPT, alignments_table, kept_map
from dashboards.views.overview import Card, overview, short_location
from dashboards.views.samples import Samples, samples_of, with_samples
from dashboards.views.views import PairMatrix, module_facts, pair_matrix, sequence_sheets, spec_text, storage
from dashboards.views.web import EXPLAINED as WEB_EXPLAINED
from dashboards.views.web import Web
from registry import (
    AlignmentRecord,
    Annotations,
    CorpusRecord,
    ModuleRecord,
    PairEntry,
    ParentRecord,
    Registry,
    Relations,
    ScoreRecord,
    SequenceRecord,
)
from registry.records.pairs import BEST_METRIC
from registry.records.values import now

PAIRS_WITH_SAMPLES = 40
SAMPLES = 5
MAPS = 40
WEB_HEIGHT = 720
NO_PARENT = "No parent is registered yet. Fix: run 'continual-mt parent train' or 'continual-mt demo'."

Corpora = Mapping[str, CorpusRecord]


@dataclass(frozen=True)
class _Module:
    title: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[tuple[str, Table]]
    spec: str


@dataclass(frozen=True)
class _Section:
    """What the report shows of one parent, in the order in which the template shows it."""

    parent: ParentRecord
    languages: str
    cards: Sequence[Card]
    web: go.Figure
    pairs: Sequence[go.Figure]
    samples_note: str
    samples: Sequence[Samples]
    sequences: Sequence[tuple[SequenceRecord, Sequence[go.Figure]]]
    alignments: Table | None
    maps_note: str
    maps: Sequence[tuple[go.Figure, str]]
    storage: go.Figure
    modules: Sequence[_Module]


def report(registry: Registry) -> str:
    """Return the report as HTML.

    For each parent it shows samples of at most PAIRS_WITH_SAMPLES pairs and at most MAPS maps, and notes how many
    it shows of how many.
    """
    corpora = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
    return render(
        "report.html.jinja",
        "continual_mt report",
        registry=short_location(registry.name),
        made=f"Made at {now():%Y-%m-%d %H:%M UTC}.",
        sections=[_section(registry, parent, corpora) for parent in registry.parents()],
        explained=EXPLAINED,
        web_explained=WEB_EXPLAINED,
        nothing_kept=NOTHING_KEPT,
        no_parent=NO_PARENT,
    )


def _section(registry: Registry, parent: ParentRecord, corpora: Corpora) -> _Section:
    entries, scores = registry.pairs(parent.name), registry.scores(parent=parent.name)
    modules, kept = registry.modules(parent.name), registry.catalog.alignments(parent.name)
    samples_note, samples = _samples(registry, entries, scores, corpora)
    annotations, relations = registry.annotations.of_parent(parent.name), registry.annotations.lineages(modules)
    return _Section(
        parent=parent,
        languages=languages_of(parent),
        cards=overview(parent, entries, modules),
        web=_web(pair_matrix(entries, scores, BEST_METRIC), parent),
        pairs=[
            figures.matrix_figure(
                pair_matrix(entries, scores, metric), f"{name} of the {len(entries):,} pairs that can be run"
            )
            for metric, name in METRIC_LABELS.items()
            if metric == BEST_METRIC or any(score.metric == metric for score in scores)
        ],
        samples_note=samples_note,
        samples=samples,
        sequences=[
            (sequence, list(_sequence_figures(registry, sequence)))
            for sequence in registry.catalog.sequences(parent.name)
        ],
        alignments=alignments_table(kept) if kept else None,
        maps_note=f"Maps of {MAPS:,} of the {len(kept):,}." if len(kept) > MAPS else "",
        maps=[_map(registry, record) for record in kept[:MAPS]],
        storage=figures.storage_figure(storage(parent, modules)),
        modules=[
            _module(module, parent, annotations.get(module.full_name, Annotations()), relations[module.full_name])
            for module in modules
        ],
    )


def _web(matrix: PairMatrix, parent: ParentRecord) -> go.Figure:
    web = Web.of(matrix, parent.languages)
    return go.Figure(web_figure(web, web_title(web))).update_layout(height=WEB_HEIGHT)


def _samples(
    registry: Registry, entries: Sequence[PairEntry], scores: Sequence[ScoreRecord], corpora: Corpora
) -> tuple[str, list[Samples]]:
    """Return a sentence that reports how many pairs have samples, and the samples."""
    kept = with_samples(scores, corpora)
    chosen = [entry.recipe for entry in entries if entry.recipe.digest in kept]
    if not chosen:
        return "No translations were kept yet; scoring a pair keeps them.", []
    shown = chosen[:PAIRS_WITH_SAMPLES]
    by_recipe: dict[str, list[ScoreRecord]] = {}
    for score in scores:
        by_recipe.setdefault(score.recipe, []).append(score)
    return (
        f"Of {len(shown):,} of the {len(chosen):,} pairs whose translations were kept.",
        [samples_of(registry, recipe, by_recipe[recipe.digest], corpora, SAMPLES) for recipe in shown],
    )


def _sequence_figures(registry: Registry, sequence: SequenceRecord) -> Iterator[go.Figure]:
    cells = registry.catalog.cells(sequence.digest)
    for metric in METRIC_LABELS:
        sheets = sequence_sheets(sequence, cells, metric)
        yield from map(figures.sheet_figure, sheets)
        if sheets:
            yield figures.curves_figure(sheets)


def _map(registry: Registry, record: AlignmentRecord) -> tuple[go.Figure, str]:
    shown = kept_map(registry, record)
    return figures.joint_map_figure(shown.drawn, shown.title), shown.note


def _module(module: ModuleRecord, parent: ParentRecord, annotations: Annotations, relations: Relations) -> _Module:
    return _Module(
        module_title(module, annotations),
        [*module_facts(module, parent.parameters), *annotation_facts(annotations)],
        module_tables(module, annotations, relations),
        spec_text(module),
    )
