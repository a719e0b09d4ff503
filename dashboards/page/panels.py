"""The views of the page, one function each: from a registry to HTML elements."""

from __future__ import annotations

from collections.abc import Callable

from dash import dcc, html
from dash.development.base_component import Component

from continual_mt.errors import InputError
from continual_mt.languages import Pair
from dashboards.charts import figures
from dashboards.page import components
from dashboards.page.translate import CHARACTERS
from dashboards.tables.artifacts import METRICS
from dashboards.views import alignment as aligning
from dashboards.views.samples import samples_of
from dashboards.views.views import pair_matrix, sequence_sheets, storage
from registry import Annotations, EmbeddingRecord, ParentRecord, Registry
from registry.queries.embeddings import check_comparable, embeddings_of

MODULES_SHOWN = 20
SAMPLES = 10


def pairs(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """The matrix of pairs; ``samples`` below it belongs to the pair that is chosen."""
    entries = registry.pairs(parent.name)
    matrix = pair_matrix(entries, registry.scores(parent=parent.name, metric=metric), metric)
    title = f"{METRICS[metric]} of the {len(entries):,} pairs that can be run"
    return html.Div(
        [
            components.graph(figures.matrix_figure(matrix, title), "pairs"),
            html.Div(
                [
                    components.chooser("source", "source", matrix.sources),
                    components.chooser("target", "target", matrix.targets),
                ],
                className="controls",
            ),
            dcc.Loading(html.Div(id="samples")),
        ]
    )


def samples(registry: Registry, parent: ParentRecord, source: str, target: str) -> Component:
    """What a pair's recipe translated. Raises UnknownNameError for a pair that cannot be run."""
    recipe = registry.recipe_catalog.recipe(source, target, parent=parent.name)
    scores = registry.scores(Pair(source, target), parent=parent.name)
    corpora = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
    return components.sampled(samples_of(registry, recipe, scores, corpora, SAMPLES))


def sequences(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """A choice of sequences; ``sequence-figures`` belongs to the one that is chosen."""
    found = {record.digest: f"{record.name} ({record.mode})" for record in registry.catalog.sequences(parent.name)}
    if not found:
        return components.note("There is no sequence on this parent yet; 'continual-mt sequence run' makes one.")
    sources, targets = _languages(registry, parent)
    return html.Div(
        [
            html.Div(
                [
                    components.chooser("sequence", "sequence", found, list(found)[-1]),
                    components.chooser("language", "only pairs with", sorted({*sources, *targets})),
                ],
                className="controls",
            ),
            dcc.Loading(html.Div(id="sequence-figures")),
        ]
    )


def sequence(registry: Registry, digest: str | None, language: str | None, metric: str) -> Component:
    """A sequence's heatmaps, one a view, and its curves."""
    for record in registry.catalog.sequences():
        if record.digest == digest:
            sheets = sequence_sheets(
                record, registry.catalog.cells(record.digest, metric=metric), metric, language=language
            )
            drawn = [components.graph(figures.sheet_figure(sheet), f"sheet-{sheet.view}") for sheet in sheets]
            if sheets:
                return html.Div([*drawn, components.graph(figures.curves_figure(sheets), "curves")])
            return components.note(f"Nothing was scored along this sequence in {METRICS[metric]} yet.")
    return components.note("Choose a sequence.")


def alignment(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """What was kept, and a choice of two tables; ``joint-map`` and ``neighbours`` belong to those that are chosen."""
    kept = registry.catalog.alignments(parent.name)
    table = [components.table(aligning.alignments_table(kept)), components.note(aligning.EXPLAINED)]
    names = list(_embeddings(registry, parent))
    word = dcc.Input(id="word", type="text", maxLength=aligning.CHARACTERS)
    return html.Div(
        [
            *(table if kept else [components.note(aligning.NOTHING_KEPT)]),
            html.Div(
                [
                    components.chooser("first-table", "first table", names),
                    components.chooser("second-table", "second table", names),
                    html.Label(["a word of the first", word]),
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
    """The map of two tables that were chosen."""
    if not first or not second:
        return components.note("Choose two embedding tables of one side for a map of the space that they share.")
    shown = aligning.map_of(registry, *_chosen(registry, parent, first, second))
    return html.Div(
        [components.graph(figures.joint_map_figure(shown.drawn, shown.title), "map"), components.note(shown.note)]
    )


def neighbours(
    registry: Registry,
    parent: ParentRecord,
    first: str | None,
    second: str | None,
    word: str | None,
    neighbourhoods: aligning.Neighbourhoods,
) -> Component:
    """What lies nearest to a word. Raises InputError while something is missing."""
    if not first or not second or not (word or "").strip():
        raise InputError("Choose two embedding tables and write a word of the first.")
    tables = _chosen(registry, parent, first, second)
    found = neighbourhoods.nearest(registry, *tables, (word or "").strip())
    return html.Div(
        [
            components.note(f"Nearest to {word} in {aligning.name_of(tables[1])}, by CSLS; ▁ begins a word."),
            components.table(aligning.neighbours_table(found)),
        ]
    )


def _chosen(
    registry: Registry, parent: ParentRecord, first: str, second: str
) -> tuple[EmbeddingRecord, EmbeddingRecord]:
    """Raises InputError for tables that are not there, which was so when another parent was chosen."""
    tables = _embeddings(registry, parent)
    if first not in tables or second not in tables:
        raise InputError(f"{parent.name} has no embedding table {first if first not in tables else second}")
    check_comparable(tables[first], tables[second])
    return tables[first], tables[second]


def _embeddings(registry: Registry, parent: ParentRecord) -> dict[str, EmbeddingRecord]:
    """By what the page calls them."""
    return {f"{table.side} {aligning.name_of(table)}": table for table in embeddings_of(registry.catalog, parent)}


def stored(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Bytes of the parent and its modules beside full copies."""
    kept = storage(parent, registry.modules(parent.name))
    return components.graph(figures.storage_figure(kept), "storage")


def modules(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """The modules, MODULES_SHOWN at a time."""
    count = len(registry.modules(parent.name))
    if not count:
        return components.note("This parent has no module yet; 'continual-mt add' makes one.")
    choices = {
        str(first): f"{first + 1} to {min(first + MODULES_SHOWN, count)} of {count}"
        for first in range(0, count, MODULES_SHOWN)
    }
    chosen = html.Div(components.chooser("modules-chosen", "modules", choices, "0"), className="controls")
    return html.Div([chosen, html.Div(id="modules")])


def modules_from(registry: Registry, parent: ParentRecord, first: int) -> Component:
    """The modules behind the first ones."""
    shown = registry.modules(parent.name)[first : first + MODULES_SHOWN]
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
    """A box for a sentence."""
    sources, targets = _languages(registry, parent)
    return html.Div(
        [
            html.Div(
                [
                    components.chooser("translate-source", "from", sources, parent.pair.source),
                    components.chooser("translate-target", "to", targets, parent.pair.target),
                ],
                className="controls",
            ),
            dcc.Textarea(id="text", placeholder="A sentence", rows=3, maxLength=CHARACTERS),
            html.Div(html.Button("Translate", id="translate")),
            dcc.Loading(html.Div(id="translation")),
        ]
    )


def _languages(registry: Registry, parent: ParentRecord) -> tuple[list[str], list[str]]:
    """Source and target languages: the parent's and those that modules brought."""
    modules = registry.modules(parent.name)
    sources = {parent.pair.source, *(module.language for module in modules if module.side == "source")}
    targets = {parent.pair.target, *(module.language for module in modules if module.side == "target")}
    return sorted(sources), sorted(targets)


PANELS: dict[str, Callable[[Registry, ParentRecord, str], Component]] = {
    "pairs": pairs,
    "sequences": sequences,
    "alignment": alignment,
    "storage": stored,
    "modules": modules,
    "translate": translate,
}
