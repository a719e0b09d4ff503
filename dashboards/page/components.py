"""What the page is put together from: records as HTML elements."""

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
    """Why something cannot be shown, in words."""
    return html.P(text, className="problem", role="alert")


def graph(figure: go.Figure, name: str) -> Component:
    return dcc.Graph(figure=figure, id=name, config=figures.CONFIG)


def dropdown(name: str, label: str, options: Sequence[str] | Mapping[str, str], value: str | None = None) -> Component:
    """A list to choose from; the choice outlives a reload of the page, but not the tab."""
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
    """Names and what they stand for."""
    return html.Table(html.Tbody([html.Tr([html.Td(text, className="wide") for text in row]) for row in rows]))


def table(content: Table) -> Component:
    kinds = [column.kind for column in content.columns]
    head = html.Tr([html.Th(column.name, className=column.kind) for column in content.columns])
    rows = [
        html.Tr([html.Td(text, className=kind) for text, kind in zip(row, kinds, strict=True)]) for row in content.rows
    ]
    return html.Table([html.Thead(head), html.Tbody(rows)])


def sample_sentences(samples: Samples) -> Component:
    """Sample sentences under the recipe that translated them."""
    parts = [html.H4(samples.title), note(samples.note)]
    return html.Div([*parts, table(samples.table)] if samples.sentences else parts)


def module(record: ModuleRecord, whole: int, annotations: Annotations, relations: Relations) -> Component:
    """A module, closed; inside is its lineage, both ways. ``whole`` is the number of its parent's parameters."""
    tables = [(title, table(content)) for title, content in module_tables(record, annotations, relations)]
    return html.Details(
        [
            html.Summary(module_title(record, annotations)),
            facts([*module_facts(record, whole), *annotation_facts(annotations)]),
            *(part for title, content in tables for part in (html.H4(title), content)),
            html.Details([html.Summary("spec"), html.Pre(spec_text(record))]),
        ]
    )
