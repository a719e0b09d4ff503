"""The building blocks of the page: texts, tables, charts and records as HTML elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from dash.dependencies import Wildcard
from dash.development.base_component import Component

from dashboards.charts import drawing
from dashboards.tables.annotations import annotation_facts, module_tables, module_title
from dashboards.tables.table import Table
from dashboards.views.overview import Card
from dashboards.views.samples import Samples
from dashboards.views.views import module_facts, spec_text
from registry import Annotations, ModuleRecord, Relations

_HIDDEN = {"visible": False}
_NOT_DRAWN = {"data": [], "layout": {"template": drawing.TEMPLATE, "xaxis": _HIDDEN, "yaxis": _HIDDEN}}


def aria(**attributes: str) -> dict[str, Any]:
    """Return attributes for screen readers, such as ``aria-label``, whose names are not Python's."""
    return {f"aria-{name}": value for name, value in attributes.items()}


def note(text: str) -> Component:
    return html.P(text, className="note")


def problem(text: str) -> Component:
    """Return a message that explains why something cannot be shown."""
    return html.P(text, className="problem", role="alert")


def graph(name: str, about: str, figure: go.Figure | None = None, height: str | None = None) -> Component:
    """Return an element with a chart; ``about`` describes it to screen readers.

    The figure is in a store, from which a callback in the browser draws it in the colours of the theme. Without a
    figure another callback has to fill the store; ``height``, as in CSS, is then that of the chart.
    """
    height = height if figure is None else f"{figure.layout.height}px"
    chart = dcc.Graph(
        id=chart_id(name), figure=_NOT_DRAWN, config=drawing.CONFIG, responsive=True, style={"height": height}
    )
    store = dcc.Store(id=drawing_id(name), data=figure)
    return html.Div([store, chart], id=name, className="chart", role="figure", **aria(label=about))


def chart_id(name: str | Wildcard) -> dict[str, str | Wildcard]:
    """Return the id of the chart in the element ``name``."""
    return {"type": "chart", "name": name}


def drawing_id(name: str | Wildcard) -> dict[str, str | Wildcard]:
    """Return the id of the store that holds the figure of the element ``name``."""
    return {"type": "drawing", "name": name}


def kind_chip(kind: str, text: str) -> Component:
    """Return a label in the colour of a kind of recipe."""
    return html.Span([html.Span(className=f"dot {kind}"), text], className="chip")


def cards(shown: Sequence[Card]) -> Component:
    """Return a row of cards with one number each."""
    each = [
        html.Div(
            [
                html.Dt(card.name),
                html.Dd(card.value, className="value"),
                html.Dd(
                    [kind_chip(kind, f"{count:,} {kind}") for kind, count in card.kinds] or card.detail,
                    className="detail",
                ),
            ],
            className="card",
        )
        for card in shown
    ]
    return html.Dl(each, className="cards")


def dropdown(name: str, label: str, options: Sequence[str] | Mapping[str, str], value: str | None = None) -> Component:
    """Return a dropdown list; the browser keeps its value when the page is reloaded, until the tab is closed."""
    labels = options if isinstance(options, Mapping) else {option: option for option in options}
    return html.Label(
        [
            label,
            dcc.Dropdown(
                id=name,
                options=[{"value": option, "label": text} for option, text in labels.items()],
                value=value,
                clearable=value is None,
                persistence=True,
                persistence_type="session",
            ),
        ],
        className="choice",
    )


def facts(rows: Sequence[tuple[str, str]]) -> Component:
    """Return a table of names and values."""
    return html.Table(html.Tbody([html.Tr([html.Td(text, className="wide") for text in row]) for row in rows]))


def table(content: Table) -> Component:
    kinds = [column.kind for column in content.columns]
    head = html.Tr([html.Th(column.name, className=column.kind) for column in content.columns])
    rows = [
        html.Tr([html.Td(text, className=kind) for text, kind in zip(row, kinds, strict=True)]) for row in content.rows
    ]
    return html.Div(html.Table([html.Thead(head), html.Tbody(rows)]), className="scrolled")


def sample_sentences(samples: Samples) -> Component:
    """Return the scores of a recipe and its sample translations."""
    return html.Div([note(samples.note), table(samples.table)] if samples.sentences else [note(samples.note)])


def module(record: ModuleRecord, whole: int, annotations: Annotations, relations: Relations) -> Component:
    """Return a collapsed element with a module's lineage: what it was made from and what depends on it.

    ``whole`` is the number of parameters of its parent.
    """
    tables = [(title, table(content)) for title, content in module_tables(record, annotations, relations)]
    return html.Details(
        [
            html.Summary(module_title(record, annotations)),
            facts([*module_facts(record, whole), *annotation_facts(annotations)]),
            *(part for title, content in tables for part in (html.H4(title), content)),
            html.Details([html.Summary("spec"), html.Pre(spec_text(record))]),
        ]
    )
