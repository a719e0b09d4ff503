"""The building blocks of the page: texts, tables, charts and records as HTML elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from dashboards.charts import figures
from dashboards.tables.annotations import annotation_facts, module_tables, module_title
from dashboards.tables.table import Table
from dashboards.views.samples import Samples
from dashboards.views.views import module_facts, spec_text
from registry import Annotations, ModuleRecord, Relations


def note(text: str) -> Component:
    return html.P(text, className="note")


def problem(text: str) -> Component:
    """Return a message that explains why something cannot be shown."""
    return html.P(text, className="problem", role="alert")


def graph(figure: go.Figure, name: str) -> Component:
    return dcc.Graph(figure=figure, id=name, config=figures.CONFIG)


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
    return html.Table([html.Thead(head), html.Tbody(rows)])


def sample_sentences(samples: Samples) -> Component:
    """Return the recipe and its sample translations."""
    parts = [html.H4(samples.title), note(samples.note)]
    return html.Div([*parts, table(samples.table)] if samples.sentences else parts)


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
