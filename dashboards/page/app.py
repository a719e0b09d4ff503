"""The web page as a Dash application. It reads the registry for each request and never writes to it."""

from __future__ import annotations

from dash import Dash, dcc, html
from dash.development.base_component import Component

from dashboards.page import components, panels
from dashboards.page.callbacks import (
    OpenRegistry,
    register_alignment,
    register_pairs,
    register_translation,
    register_views,
    shown_error,
)
from dashboards.page.header import header, register_theme
from dashboards.page.server import without_prefix
from dashboards.page.translate import SentenceTranslator
from dashboards.report.report import NO_PARENT
from dashboards.theme.assets import script, style
from registry.records.values import now

_INDEX = (
    "<!doctype html>\n<html lang='en'><head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}<style>"
    + style()
    + "</style><script>"
    + script()
    + "</script></head><body>{%app_entry%}{%config%}{%scripts%}{%renderer%}</body></html>"
)


def create_app(open_registry: OpenRegistry, prefix: str = "/") -> Dash:
    """Create the application. It calls ``open_registry`` for each request.

    ``prefix``, such as ``/mt/``, is where a reverse proxy serves the page; requests are also answered without it.
    A registry that is missing, empty or unreadable gives a message on the page, not an exception.
    """
    app = Dash(
        __name__,
        title="continual_mt",
        update_title="",
        index_string=_INDEX,
        requests_pathname_prefix=prefix,
        routes_pathname_prefix="/",
        suppress_callback_exceptions=True,  # the elements of a tab exist only while that tab is open
    )
    if prefix != "/":
        app.server.wsgi_app = without_prefix(app.server.wsgi_app, prefix)
    app.layout = lambda: _layout(open_registry)
    register_theme(app)
    register_views(app, open_registry)
    register_pairs(app, open_registry)
    register_alignment(app, open_registry)
    register_translation(app, SentenceTranslator(open_registry))
    return app


def _layout(open_registry: OpenRegistry) -> Component:
    try:
        with open_registry() as registry:
            name, parents = registry.name, [parent.name for parent in registry.parents()]
    except Exception as error:
        return html.Div([header(), shown_error(error)])
    if not parents:
        return html.Div([header(name), components.problem(NO_PARENT)])
    read = f"Read at {now():%Y-%m-%d %H:%M:%S UTC}; reload the page to see later additions."
    return html.Div(
        [header(name, parents), html.Div(id="cards"), html.Main(_tabs()), html.Footer(components.note(read))]
    )


def _tabs() -> Component:
    # Dash's own tabs cannot be reached with the keyboard.
    tabs = dcc.RadioItems(
        id="view-chosen",
        value="web",
        options=[{"label": html.Span(name.capitalize(), id=f"tab-{name}"), "value": name} for name in panels.PANELS],
        persistence=True,
        persistence_type="session",
    )
    # Only a change of the whole tab shows this spinner; elements inside a tab have their own.
    whole = dcc.Loading(
        html.Div(id="view"),
        target_components={"view": "children"},  # type: ignore[arg-type]  # declared as a mapping without keys
    )
    return html.Div([html.Div(tabs, role="group", className="tabs", **components.aria(label="view")), whole])
