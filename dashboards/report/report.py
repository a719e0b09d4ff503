"""The report: every view of the registry in one HTML file that loads nothing from outside."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

from dashboards.charts import figures
from dashboards.report.document import document
from dashboards.tables.annotations import annotation_facts, module_tables, module_title
from dashboards.tables.artifacts import METRICS
from dashboards.tables.table import Table
from dashboards.views.alignment import EXPLAINED, NOTHING_KEPT, alignments_table, kept_map
from dashboards.views.samples import Samples, samples_of, with_samples
from dashboards.views.views import module_facts, pair_matrix, sequence_sheets, spec_text, storage
from registry import (
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
from registry.records.values import now

PAIRS_WITH_SAMPLES = 40
SAMPLES = 5
MAPS = 40
NO_PARENT = "There is no parent yet; 'continual-mt parent train' or 'continual-mt demo' makes one."


def report(registry: Registry) -> str:
    """The report as HTML. Of each parent, samples of PAIRS_WITH_SAMPLES pairs and MAPS maps are shown, as it says."""
    parents = registry.parents()
    corpora = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
    made = f"{registry.name}, {now():%Y-%m-%d %H:%M UTC}"
    parts = [f"<h1>What continual_mt can translate, and how well</h1>{_paragraph(made)}"]
    parts += ["".join(_of_parent(registry, parent, corpora)) for parent in parents]
    return document("continual_mt report", "\n".join(parts if parents else [*parts, _paragraph(NO_PARENT)]))


def _of_parent(registry: Registry, parent: ParentRecord, corpora: Mapping[str, CorpusRecord]) -> Iterator[str]:
    entries, scores = registry.pairs(parent.name), registry.scores(parent=parent.name)
    modules = registry.modules(parent.name)
    yield f"<h2>Parent {html.escape(parent.name)}, {parent.pair}</h2><h3>Pairs</h3>"
    for metric, name in METRICS.items():
        title = f"{name} of the {len(entries):,} pairs that can be run"
        yield figures.fragment(figures.matrix_figure(pair_matrix(entries, scores, metric), title))
    yield from _samples(registry, entries, scores, corpora)
    for sequence in registry.catalog.sequences(parent.name):
        yield from _sequence(registry, sequence)
    yield from _alignment(registry, parent)
    yield f"<h3>Storage</h3>{figures.fragment(figures.storage_figure(storage(parent, modules)))}"
    yield f"<h3>Modules</h3>{_paragraph(f'{len(modules):,} modules')}"
    annotations, relations = registry.annotations.of_parent(parent.name), registry.annotations.lineages(modules)
    for module in modules:
        name = module.full_name
        yield _module(module, parent, annotations.get(name, Annotations()), relations[name])


def _samples(
    registry: Registry,
    entries: Sequence[PairEntry],
    scores: Sequence[ScoreRecord],
    corpora: Mapping[str, CorpusRecord],
) -> Iterator[str]:
    kept = with_samples(scores, corpora)
    chosen = [entry.recipe for entry in entries if entry.recipe.digest in kept]
    shown = chosen[:PAIRS_WITH_SAMPLES]
    by_recipe: dict[str, list[ScoreRecord]] = {}
    for score in scores:
        by_recipe.setdefault(score.recipe, []).append(score)
    yield "<h3>Samples</h3>" + _paragraph(
        f"Of {len(shown):,} of the {len(chosen):,} pairs whose translations were kept."
        if chosen
        else "No translations were kept yet; scoring a pair keeps them."
    )
    for recipe in shown:
        yield _sampled(samples_of(registry, recipe, by_recipe[recipe.digest], corpora, SAMPLES))


def _sampled(samples: Samples) -> str:
    return _details(samples.title, _paragraph(samples.note) + _drawn(samples.table))


def _sequence(registry: Registry, sequence: SequenceRecord) -> Iterator[str]:
    additions = ", ".join(map(str, sequence.additions))
    yield f"<h3>Sequence {html.escape(sequence.name)}</h3>{_paragraph(f'{sequence.mode}: {additions}')}"
    cells = registry.catalog.cells(sequence.digest)
    if not cells:
        yield _paragraph("Nothing was scored along this sequence yet.")
    for metric in METRICS:
        sheets = sequence_sheets(sequence, cells, metric)
        yield from (figures.fragment(figures.sheet_figure(sheet)) for sheet in sheets)
        if sheets:
            yield figures.fragment(figures.curves_figure(sheets))


def _alignment(registry: Registry, parent: ParentRecord) -> Iterator[str]:
    kept = registry.catalog.alignments(parent.name)
    yield "<h3>Alignment</h3>"
    if not kept:
        yield _paragraph(NOTHING_KEPT)
        return
    yield _drawn(alignments_table(kept)) + _paragraph(EXPLAINED)
    if len(kept) > MAPS:
        yield _paragraph(f"Maps of {MAPS:,} of the {len(kept):,}.")
    for record in kept[:MAPS]:
        shown = kept_map(registry, record)
        yield figures.fragment(figures.joint_map_figure(shown.drawn, shown.title)) + _paragraph(shown.note)


def _module(module: ModuleRecord, parent: ParentRecord, annotations: Annotations, relations: Relations) -> str:
    told = [*module_facts(module, parent.parameters), *annotation_facts(annotations)]
    facts = f"<table>{_rows(told, ('wide', 'wide'))}</table>"
    tables = [
        f"<h4>{html.escape(title)}</h4>{_drawn(table)}"
        for title, table in module_tables(module, annotations, relations)
    ]
    spec = _details("spec", f"<pre>{html.escape(spec_text(module))}</pre>")
    return _details(module_title(module, annotations), "".join([facts, *tables, spec]))


def _drawn(table: Table) -> str:
    kinds = [column.kind for column in table.columns]
    heads = (f'<th class="{column.kind}">{html.escape(column.name)}</th>' for column in table.columns)
    return f"<table><tr>{''.join(heads)}</tr>{_rows(table.rows, kinds)}</table>"


def _rows(rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> str:
    cells = (zip(row, kinds, strict=True) for row in rows)
    return "".join(
        "<tr>" + "".join(f'<td class="{kind}">{html.escape(text)}</td>' for text, kind in row) + "</tr>"
        for row in cells
    )


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def _paragraph(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'
