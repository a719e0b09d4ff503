"""The header of the page, which all tabs share: name, registry, parent, metric, dark mode; and the cards below it."""

from __future__ import annotations

from collections.abc import Sequence

from dash import MATCH, ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.page import components
from dashboards.views.overview import short_location

KEPT_THEME = "continual-mt-theme"  # the browser keeps the value under this name, which `theme.js` reads


def header(registry_name: str | None = None, parents: Sequence[str] = ()) -> Component:
    """Return the header; without a registry, only the name of the product and the switch for the dark mode."""
    brand: list[Component] = [html.H1("continual_mt")]
    if registry_name is not None:
        brand.append(html.P(short_location(registry_name), className="registry", title=registry_name))
    return html.Header(
        [
            html.Div(brand, className="brand"),
            *([components.dropdown("parent", "parent", parents, parents[0]), _metrics()] if parents else []),
            html.Button("Dark mode", id="theme-switch", className="theme-switch", **components.aria(pressed="false")),
            dcc.Store(id=KEPT_THEME, storage_type="local"),  # what the reader chose, if anything
            dcc.Store(id="look"),  # what is shown: light or dark
        ],
        className="top",
    )


def _metrics() -> Component:
    choices = dcc.RadioItems(
        id="metric",
        options=[{"value": metric, "label": name} for metric, name in METRIC_LABELS.items()],
        value="bleu",
        inline=True,
        persistence=True,
        persistence_type="session",
    )
    return html.Div(choices, role="group", className="metrics", **components.aria(label="metric"))


def register_theme(app: Dash) -> None:
    """Register what runs in the browser: the switch, and drawing each chart in the colours of the theme."""
    clicked, kept = Input("theme-switch", "n_clicks"), State(KEPT_THEME, "data")
    _in_browser(app, "switched", Output(KEPT_THEME, "data"), clicked, kept)
    _in_browser(app, "shown", Output("look", "data"), Input(KEPT_THEME, "data"))
    drawing, look = Input(components.drawing_id(MATCH), "data"), Input("look", "data")
    _in_browser(app, "drawn", Output(components.chart_id(MATCH), "figure"), drawing, look)


def _in_browser(app: Dash, function: str, *values: Input | Output | State) -> None:
    """Register a callback that is a function of `theme.js`."""
    app.clientside_callback(ClientsideFunction("theme", function), *values)  # type: ignore[no-untyped-call]  # in Dash
