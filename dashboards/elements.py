"""What the page is put together from: records as HTML elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from dashboards import figures
from dashboards.samples import Samples
from dashboards.table import Table
from dashboards.tables import corpora_table
from dashboards.views import module_facts, spec_text
from registry import ModuleRecord


def note(text: str) -> Component:
    return html.P(text, className="note")


def problem(text: str) -> Component:
    """Why something cannot be shown, in words."""
    return html.P(text, className="problem", role="alert")


def graph(figure: go.Figure, name: str) -> Component:
    return dcc.Graph(figure=figure, id=name, config=figures.CONFIG)


def chooser(name: str, label: str, options: Sequence[str] | Mapping[str, str], value: str | None = None) -> Component:
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


def drawn(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Component:
    body = html.Tbody([html.Tr([html.Td(text, className="wide") for text in row]) for row in rows])
    return html.Table([html.Thead(html.Tr([html.Th(name) for name in heads])), body] if heads else body)


def table(content: Table) -> Component:
    return drawn([column.name for column in content.columns], content.rows)


def sampled(samples: Samples) -> Component:
    """Sample sentences under the recipe that translated them."""
    rows = [(sample.source, sample.hypothesis, sample.reference) for sample in samples.sentences]
    parts = [html.H4(samples.title), note(samples.note)]
    return html.Div([*parts, drawn(("source", "hypothesis", "reference"), rows)] if rows else parts)


def module(record: ModuleRecord, whole: int) -> Component:
    """A module, closed; inside is its lineage. ``whole`` is the number of its parent's parameters."""
    return html.Details(
        [
            html.Summary(f"{record.full_name}: new {record.side} {record.language}, {record.scope}"),
            drawn((), module_facts(record, whole)),
            table(corpora_table(record.lineage)),
            html.Details([html.Summary("spec"), html.Pre(spec_text(record))]),
        ]
    )
