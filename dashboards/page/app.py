"""The web page as a Dash application. It reads the registry for each request and never writes to it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from continual_mt.errors import ContinualMTError
from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.page import components, panels
from dashboards.page.server import without_prefix
from dashboards.page.translate import SentenceTranslator
from dashboards.report.document import STYLE
from dashboards.report.report import NO_PARENT
from dashboards.views.alignment import Neighbourhoods
from registry import Registry
from registry.records.values import now

OpenRegistry = Callable[[], Registry]
_Parameters = ParamSpec("_Parameters")

_INDEX = (
    "<!doctype html>\n<html lang='en'><head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}<style>"
    + STYLE
    + "</style></head><body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>"
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
    _register_views(app, open_registry)
    _register_alignment(app, open_registry)
    _register_translation(app, SentenceTranslator(open_registry))
    return app


def _errors_as_text(shown: Callable[_Parameters, Component]) -> Callable[_Parameters, Component]:
    """Decorate a callback to show the message of an error; unexpected errors are also logged with their traceback."""

    @wraps(shown)
    def answer(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> Component:
        try:
            return shown(*arguments, **named)
        except ContinualMTError as error:
            return components.problem(f"{error}")
        except Exception as error:
            # Dash's logger would write to standard output.
            traceback.print_exc()
            what = f"{type(error).__name__}: {error}"
            return components.problem(f"internal error: {what}. The server's log has the traceback.")

    return answer


def _layout(open_registry: OpenRegistry) -> Component:
    @_errors_as_text
    def body() -> Component:
        with open_registry() as registry:
            parents = [parent.name for parent in registry.parents()]
        return _controls_and_tabs(parents) if parents else components.problem(NO_PARENT)

    heading = html.H1("What continual_mt can translate, and how well")
    read = components.note(f"Read at {now():%Y-%m-%d %H:%M:%S UTC}; reload the page to see later additions.")
    return html.Div([heading, read, body()])


def _controls_and_tabs(parents: list[str]) -> Component:
    metrics = dcc.RadioItems(
        id="metric",
        options=[{"value": metric, "label": name} for metric, name in METRIC_LABELS.items()],
        value="bleu",
        inline=True,
        persistence=True,
        persistence_type="session",
    )
    tabs = dcc.Tabs(
        id="view-chosen",
        value="pairs",
        children=[dcc.Tab(label=name.capitalize(), value=name, id=f"tab-{name}") for name in panels.PANELS],
        persistence=True,
        persistence_type="session",
    )
    controls = html.Div([components.dropdown("parent", "parent", parents, parents[0]), metrics], className="controls")
    # Only a change of the whole tab shows this spinner; elements inside a tab have their own.
    whole = dcc.Loading(
        html.Div(id="view"),
        target_components={"view": "children"},  # type: ignore[arg-type]  # declared as a mapping without keys
    )
    return html.Div([controls, tabs, whole])


def _register_views(app: Dash, open_registry: OpenRegistry) -> None:
    """Register the callbacks of the tabs for pairs, sequences and modules, and the choice of the tab."""

    @app.callback(
        Output("view", "children"), Input("view-chosen", "value"), Input("parent", "value"), Input("metric", "value")
    )
    @_errors_as_text
    def view(chosen: str, parent: str | None, metric: str) -> Component:
        with open_registry() as registry:
            return panels.PANELS[chosen](registry, registry.parent(parent), metric)

    @app.callback(
        Output("source", "value"), Output("target", "value"), Input("pairs", "clickData"), prevent_initial_call=True
    )
    def clicked(click: dict[str, Any] | None) -> tuple[Any, Any]:
        if not click:
            return no_update, no_update
        point = click["points"][0]
        return point["y"], point["x"]

    @app.callback(
        Output("samples", "children"), Input("source", "value"), Input("target", "value"), State("parent", "value")
    )
    @_errors_as_text
    def samples(source: str | None, target: str | None, parent: str | None) -> Component:
        if not source or not target:
            return components.note("Click a pair, or choose its languages, to see sample translations.")
        with open_registry() as registry:
            return panels.samples(registry, registry.parent(parent), source, target)

    @app.callback(
        Output("sequence-figures", "children"),
        Input("sequence", "value"),
        Input("language", "value"),
        State("metric", "value"),
    )
    @_errors_as_text
    def sequence(digest: str | None, language: str | None, metric: str) -> Component:
        with open_registry() as registry:
            return panels.sequence(registry, digest, language, metric)

    @app.callback(Output("modules", "children"), Input("modules-chosen", "value"), State("parent", "value"))
    @_errors_as_text
    def modules(first: str | None, parent: str | None) -> Component:
        with open_registry() as registry:
            return panels.modules_page(registry, registry.parent(parent), int(first or 0))


def _register_alignment(app: Dash, open_registry: OpenRegistry) -> None:
    neighbourhoods = Neighbourhoods()

    @app.callback(
        Output("joint-map", "children"),
        Input("first-table", "value"),
        Input("second-table", "value"),
        State("parent", "value"),
    )
    @_errors_as_text
    def joint_map(first: str | None, second: str | None, parent: str | None) -> Component:
        with open_registry() as registry:
            return panels.joint_map(registry, registry.parent(parent), first, second)

    @app.callback(
        Output("neighbours", "children"),
        Input("look-up", "n_clicks"),
        Input("word", "n_submit"),
        State("word", "value"),
        State("first-table", "value"),
        State("second-table", "value"),
        State("parent", "value"),
        prevent_initial_call=True,
    )
    @_errors_as_text
    def neighbours(
        clicks: int | None,
        entered: int | None,
        word: str | None,
        first: str | None,
        second: str | None,
        parent: str | None,
    ) -> Component:
        if not clicks and not entered:
            return html.Div()
        with open_registry() as registry:
            return panels.neighbours(registry, registry.parent(parent), first, second, word, neighbourhoods)


def _register_translation(app: Dash, sentences: SentenceTranslator) -> None:
    @app.callback(
        Output("translation", "children"),
        Input("translate", "n_clicks"),
        State("translate-source", "value"),
        State("translate-target", "value"),
        State("text", "value"),
        State("parent", "value"),
        prevent_initial_call=True,
    )
    @_errors_as_text
    def translation(
        clicks: int | None, source: str | None, target: str | None, text: str | None, parent: str
    ) -> Component:
        if not clicks:
            return html.Div()
        if not source or not target or not (text or "").strip():
            return components.problem("Choose both languages and enter a sentence.")
        translated = sentences.translate(source, target, parent, text or "")
        return html.Div(
            [
                html.P(translated.text or "(the translation is empty)", id="translated", lang=target.replace("_", "-")),
                html.P(f"{translated.recipe}", id="translated-recipe", className="note"),
            ]
        )
