"""The tabs of the page, one function each: from a registry to HTML elements."""

from __future__ import annotations

from collections.abc import Callable

from dash import dcc, html
from dash.development.base_component import Component

from continual_mt.errors import InputError
from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.charts import figures
from dashboards.page import components
from dashboards.page.translate import MAX_CHARACTERS
from dashboards.page.web_panel import languages_of, web_panel
from dashboards.tables.artifacts import results_table
from dashboards.views.alignment import (
    EXPLAINED,
    MAX_WORD_CHARACTERS,
    NOTHING_KEPT,
    Neighbourhoods,
    alignments_table,
    map_of,
    name_of,
    neighbours_table,
)
from dashboards.views.pivots import beside_pivots
from dashboards.views.views import pair_matrix, sequence_sheets, storage
from registry import Annotations, EmbeddingRecord, ParentRecord, Registry
from registry.recipes.embeddings import check_comparable, embeddings_of

PIVOTS = "Pivots that were scored, beside the other recipes of their pairs. A sentence runs through each of the models."
MODULES_PER_PAGE = 20


def pairs(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return the matrix of pairs; the element ``pair`` below it shows the selected pair."""
    entries = registry.pairs(parent.name)
    # The off-target rate marks pairs whatever the metric.
    matrix = pair_matrix(entries, registry.catalog.listed_scores(parent.name, {metric, "offtarget"}), metric)
    title = f"{METRIC_LABELS[metric]} of the {len(entries):,} pairs that can be run"
    pivots = beside_pivots(registry, registry.pairs(parent.name, pivot=False), parent.name)
    shown = [components.note(PIVOTS), components.table(results_table(pivots, by_pair=True))] if pivots else []
    return html.Div(
        [
            components.graph("pairs", title, figures.matrix_figure(matrix, title)),
            html.Div(
                [
                    components.dropdown("source", "source", matrix.sources),
                    components.dropdown("target", "target", matrix.targets),
                ],
                className="controls",
            ),
            dcc.Loading(html.Div(id="pair")),
            html.Div(shown, id="pivots"),
        ]
    )


def sequences(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return a list of sequences; the element ``sequence-figures`` shows the selected one."""
    found = {record.digest: f"{record.name} ({record.mode})" for record in registry.catalog.sequences(parent.name)}
    if not found:
        return components.note("This parent has no sequence yet; 'continual-mt sequence run' trains one.")
    sources, targets = languages_of(registry, parent)
    return html.Div(
        [
            html.Div(
                [
                    components.dropdown("sequence", "sequence", found, list(found)[-1]),
                    components.dropdown("language", "pairs that include", sorted({*sources, *targets})),
                ],
                className="controls",
            ),
            dcc.Loading(html.Div(id="sequence-figures")),
        ]
    )


def sequence(registry: Registry, digest: str | None, language: str | None, metric: str) -> Component:
    """Return the charts of a sequence: one heatmap per view, and the curves."""
    for record in registry.catalog.sequences():
        if record.digest == digest:
            sheets = sequence_sheets(
                record, registry.catalog.cells(record.digest, metric=metric), metric, language=language
            )
            drawn = [
                components.graph(f"sheet-{sheet.view}", sheet.title, figures.sheet_figure(sheet)) for sheet in sheets
            ]
            if sheets:
                about = f"{METRIC_LABELS[metric]} of each pair by position"
                return html.Div([*drawn, components.graph("curves", about, figures.curves_figure(sheets))])
            return components.note(f"This sequence has no {METRIC_LABELS[metric]} scores yet.")
    return components.note("Choose a sequence.")


def alignment(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return the stored alignments and two lists of embedding tables.

    The elements ``joint-map`` and ``neighbours`` show the two selected tables.
    """
    kept = registry.catalog.alignments(parent.name)
    table = [components.table(alignments_table(kept)), components.note(EXPLAINED)]
    names = list(_embeddings(registry, parent))
    word = dcc.Input(id="word", type="text", maxLength=MAX_WORD_CHARACTERS)
    return html.Div(
        [
            *(table if kept else [components.note(NOTHING_KEPT)]),
            html.Div(
                [
                    components.dropdown("first-table", "first table", names),
                    components.dropdown("second-table", "second table", names),
                    html.Label(["word of the first table", word]),
                    html.Button("Look up", id="look-up"),
                ],
                className="controls tables",
            ),
            html.Div(
                [html.Div(dcc.Loading(html.Div(id=name))) for name in ("joint-map", "neighbours")], className="beside"
            ),
        ]
    )


def joint_map(registry: Registry, parent: ParentRecord, first: str | None, second: str | None) -> Component:
    """Return the map of the two selected tables."""
    if not first or not second:
        return components.note("Choose two embedding tables of the same side to see a map of their shared space.")
    shown = map_of(registry, *_selected_tables(registry, parent, first, second))
    return html.Div(
        [
            components.graph("map", shown.title, figures.joint_map_figure(shown.drawn, shown.title)),
            components.note(shown.note),
        ]
    )


def neighbours(
    registry: Registry,
    parent: ParentRecord,
    first: str | None,
    second: str | None,
    word: str | None,
    neighbourhoods: Neighbourhoods,
) -> Component:
    """Return the nearest neighbours of a word. Raises InputError if a table or the word is missing."""
    if not first or not second or not (word or "").strip():
        raise InputError("Choose two embedding tables and enter a word of the first one.")
    tables = _selected_tables(registry, parent, first, second)
    found = neighbourhoods.nearest(registry, *tables, (word or "").strip())
    return html.Div(
        [
            components.note(f"Nearest to {word} in {name_of(tables[1])}, by CSLS. ▁ marks the start of a word."),
            components.table(neighbours_table(found)),
        ]
    )


def _selected_tables(
    registry: Registry, parent: ParentRecord, first: str, second: str
) -> tuple[EmbeddingRecord, EmbeddingRecord]:
    """Return the records of the two selected tables.

    Raises InputError if the parent does not have them, as happens just after another parent was selected.
    """
    tables = _embeddings(registry, parent)
    if first not in tables or second not in tables:
        raise InputError(
            f"unknown embedding table '{first if first not in tables else second}' on parent {parent.name}"
        )
    check_comparable(tables[first], tables[second])
    return tables[first], tables[second]


def _embeddings(registry: Registry, parent: ParentRecord) -> dict[str, EmbeddingRecord]:
    """Return the embedding tables of a parent and its modules by their name on the page."""
    return {f"{table.side} {name_of(table)}": table for table in embeddings_of(registry.catalog, parent)}


def storage_panel(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return the chart of the bytes of the parent and its modules, compared with full copies."""
    kept = storage(parent, registry.modules(parent.name))
    return components.graph("storage", kept.summary, figures.storage_figure(kept))


def modules(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return a list of pages of modules; the element ``modules`` shows the selected page."""
    count = len(registry.modules(parent.name))
    if not count:
        return components.note("This parent has no module yet; 'continual-mt add' trains one.")
    choices = {
        str(first): f"{first + 1} to {min(first + MODULES_PER_PAGE, count)} of {count}"
        for first in range(0, count, MODULES_PER_PAGE)
    }
    chosen = html.Div(components.dropdown("modules-chosen", "modules", choices, "0"), className="controls")
    return html.Div([chosen, html.Div(id="modules")])


def modules_page(registry: Registry, parent: ParentRecord, first: int) -> Component:
    """Return up to MODULES_PER_PAGE modules from number ``first``, counted from 0."""
    shown = registry.modules(parent.name)[first : first + MODULES_PER_PAGE]
    annotations, relations = registry.annotations.of_parent(parent.name), registry.annotations.lineages(shown)
    return html.Div(
        [
            components.module(
                record, parent.parameters, annotations.get(record.full_name, Annotations()), relations[record.full_name]
            )
            for record in shown
        ]
    )


def translate(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return the form to translate a sentence."""
    sources, targets = languages_of(registry, parent)
    first = next(parent.languages.pairs(), None)
    source, target = (first.source, first.target) if first else (sources[0], targets[-1])
    return html.Div(
        [
            html.Div(
                [
                    components.dropdown("translate-source", "from", sources, source),
                    components.dropdown("translate-target", "to", targets, target),
                ],
                className="controls",
            ),
            html.Label(["sentence", dcc.Textarea(id="text", rows=3, maxLength=MAX_CHARACTERS)], className="choice"),
            html.Div(html.Button("Translate", id="translate")),
            dcc.Loading(html.Div(id="translation")),
        ]
    )


PANELS: dict[str, Callable[[Registry, ParentRecord, str], Component]] = {
    "web": web_panel,
    "pairs": pairs,
    "sequences": sequences,
    "alignment": alignment,
    "storage": storage_panel,
    "modules": modules,
    "translate": translate,
}
