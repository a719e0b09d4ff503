"""The first tab, the web of languages, and what the page shows of a chosen pair."""

from __future__ import annotations

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from continual_mt.artifacts.choice import Choice
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.recipe import ModuleKey
from continual_mt.evaluation.metric_names import METRIC_LABELS
from continual_mt.languages import Pair
from dashboards.charts.web_chart import web_figure, web_title
from dashboards.page import components
from dashboards.tables.artifacts import points
from dashboards.tables.choices import candidates_table, named
from dashboards.views.samples import samples_of
from dashboards.views.views import PairMatrix, pair_matrix
from dashboards.views.web import EXPLAINED, Web, made_of
from registry import Annotations, ParentRecord, Registry

SAMPLES = 6
HEIGHT = "min(46rem, 110vw)"
SPINNER_DELAY = 700  # milliseconds, so that a click into a small web does not blink
HOW_TO_CHOOSE = (
    "Zero-shot and pivot pairs are drawn for a chosen language. Click a language or an arc, or choose from the lists."
)
CHOOSE_A_PAIR = "Click a pair, or choose its languages, to see its candidates, sample translations and lineage."


def web_panel(registry: Registry, parent: ParentRecord, metric: str) -> Component:
    """Return the web and three lists; the element ``pair`` beside it shows the selected pair."""
    sources, targets = languages_of(registry, parent)
    chosen = [
        components.dropdown("web-language", "language", sorted({*sources, *targets})),
        components.dropdown("source", "source", sources),
        components.dropdown("target", "target", targets),
    ]
    about = f"The web of languages: {METRIC_LABELS[metric]} of each pair. The tab Pairs has the same as a matrix."
    return html.Div(
        [
            html.Div(
                [
                    html.Div(chosen, className="controls"),
                    html.Div(id="web-problem"),
                    dcc.Loading(components.graph("web", about, height=HEIGHT), delay_show=SPINNER_DELAY),
                    components.note(f"{EXPLAINED} {HOW_TO_CHOOSE}"),
                ],
                className="panel",
            ),
            html.Aside(dcc.Loading(html.Div(id="pair")), className="panel", **components.aria(label="the chosen pair")),
        ],
        className="beside web",
    )


def languages_of(registry: Registry, parent: ParentRecord) -> tuple[list[str], list[str]]:
    """Return the source and the target languages of a parent and its modules."""
    modules = registry.recipe_catalog.selected_modules(parent.name)
    sources, targets = (
        {*parent.languages.tags(end), *(language for module in modules if (language := module.brings(end)))}
        for end in ENDS
    )
    return sorted(sources), sorted(targets)


def drawn_web(
    registry: Registry, parent: ParentRecord, metric: str, language: str | None, pair: Pair | None
) -> dict[str, Any]:
    """Draw the web with a chosen language and a chosen pair, which is shown with the pairs that it rests on."""
    web = Web.of(matrix_of(registry, parent, metric), parent.languages)
    pairs: tuple[Pair, ...] = ()
    if pair is not None and (pair.source, pair.target) in web.cells:
        pairs = made_of(registry.recipe_catalog.recipe(pair.source, pair.target, parent=parent.name))
    return web_figure(web, web_title(web, language), language, pairs)


def matrix_of(registry: Registry, parent: ParentRecord, metric: str) -> PairMatrix:
    """Return all pairs of a parent in one metric; pairs in the wrong language are marked in every metric."""
    scores = registry.catalog.listed_scores(parent.name, {metric, "offtarget"})
    return pair_matrix(registry.pairs(parent.name), scores, metric)


def pair_details(registry: Registry, parent: ParentRecord, source: str, target: str) -> Component:
    """Return the candidates of a pair and why one was chosen, sample translations, and lineage.

    Raises UnknownNameError for a pair that cannot be run.
    """
    choice = registry.recipe_catalog.choice(source, target, parent=parent.name)
    recipe = choice.chosen
    scores = registry.scores(recipe.pair, parent=parent.name)
    corpora = {corpus.digest: corpus for corpus in registry.catalog.corpora()}
    samples = samples_of(registry, recipe, scores, corpora, SAMPLES)
    lineage = [_module(registry, key) for key in recipe.modules]
    return html.Div(
        [
            _heading(choice),
            html.P(f"It runs with {named(recipe)}: {choice.reason}.", className="reason"),
            html.H3("Candidates"),
            html.Div(components.table(candidates_table(choice)), id="candidates"),
            html.H3("Samples"),
            html.Div([html.P(samples.title, className="note"), components.sample_sentences(samples)], id="samples"),
            html.H3("Lineage"),
            html.Div(lineage or components.note("The parent translates this pair without any module."), id="lineage"),
        ]
    )


def _heading(choice: Choice) -> Component:
    best, pair = choice.candidates[0], choice.pair
    score = html.Span(
        [html.Strong(points(best.score)), f" BLEU on {best.test}"] if best.score is not None else "no score yet",
        className="score",
    )
    name = html.H2([pair.source, html.Span(" → ", **components.aria(label="to")), pair.target])
    return html.Div([name, components.kind_chip(best.recipe.kind, named(best.recipe)), score], className="pair-heading")


def _module(registry: Registry, key: ModuleKey) -> Component:
    record = registry.module(key.name)
    annotations = registry.annotations.of_parent(record.parent).get(record.full_name, Annotations())
    relations = registry.annotations.lineages([record])[record.full_name]
    return components.module(record, registry.parent(record.parent).parameters, annotations, relations)
