"""What the page answers: one callback for each element that changes, from a registry opened for the request."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from dash import Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component

from continual_mt.errors import ContinualMTError
from continual_mt.languages import Pair
from dashboards.page import components, panels, web_panel
from dashboards.page.translate import SentenceTranslator
from dashboards.views.alignment import Neighbourhoods
from dashboards.views.overview import overview
from registry import Registry

OpenRegistry = Callable[[], Registry]
_Parameters = ParamSpec("_Parameters")


def errors_as_text(shown: Callable[_Parameters, Component]) -> Callable[_Parameters, Component]:
    """Decorate a callback to show the message of an error; unexpected errors are also logged with their traceback."""

    @wraps(shown)
    def answer(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> Component:
        try:
            return shown(*arguments, **named)
        except Exception as error:
            return shown_error(error)

    return answer


def shown_error(error: Exception) -> Component:
    """Return the message of an error; the traceback of an unexpected one is written to the log."""
    if isinstance(error, ContinualMTError):
        return components.problem(f"{error}")
    traceback.print_exception(error)  # Dash's logger would write to standard output
    what = f"{type(error).__name__}: {error}"
    return components.problem(f"internal error: {what}. The server's log has the traceback.")


def register_views(app: Dash, open_registry: OpenRegistry) -> None:
    """Register the callbacks of the cards, the choice of the tab, and the tabs for sequences and modules."""

    @app.callback(Output("cards", "children"), Input("parent", "value"))
    @errors_as_text
    def cards(parent: str | None) -> Component:
        with open_registry() as registry:
            record = registry.parent(parent)
            return components.cards(overview(record, registry.pairs(record.name), registry.modules(record.name)))

    @app.callback(
        Output("view", "children"), Input("view-chosen", "value"), Input("parent", "value"), Input("metric", "value")
    )
    @errors_as_text
    def view(chosen: str, parent: str | None, metric: str) -> Component:
        with open_registry() as registry:
            return panels.PANELS[chosen](registry, registry.parent(parent), metric)

    @app.callback(
        Output("sequence-figures", "children"),
        Input("sequence", "value"),
        Input("language", "value"),
        State("metric", "value"),
    )
    @errors_as_text
    def sequence(digest: str | None, language: str | None, metric: str) -> Component:
        with open_registry() as registry:
            return panels.sequence(registry, digest, language, metric)

    @app.callback(Output("modules", "children"), Input("modules-chosen", "value"), State("parent", "value"))
    @errors_as_text
    def modules(first: str | None, parent: str | None) -> Component:
        with open_registry() as registry:
            return panels.modules_page(registry, registry.parent(parent), int(first or 0))


def register_pairs(app: Dash, open_registry: OpenRegistry) -> None:
    """Register the callbacks of the web and the matrix, in which a pair is chosen, and of its details."""

    @app.callback(
        Output(components.drawing_id("web"), "data"),
        Output("web-problem", "children"),
        Input("web-language", "value"),
        Input("source", "value"),
        Input("target", "value"),
        State("parent", "value"),
        State("metric", "value"),
    )
    def drawn(
        language: str | None, source: str | None, target: str | None, parent: str | None, metric: str
    ) -> tuple[Any, Component | None]:
        pair = Pair(source, target) if source and target and source != target else None
        try:
            with open_registry() as registry:
                return web_panel.drawn_web(registry, registry.parent(parent), metric, language, pair), None
        except Exception as error:
            return no_update, shown_error(error)

    @app.callback(
        Output("source", "value", allow_duplicate=True),
        Output("target", "value", allow_duplicate=True),
        Output(components.chart_id("pairs"), "clickData"),
        Input(components.chart_id("pairs"), "clickData"),
        prevent_initial_call=True,
    )
    def clicked_cell(click: dict[str, Any] | None) -> tuple[Any, Any, Any]:
        """Choose the pair of a cell. The click is taken back, because Dash ignores one that equals the last."""
        if not click:
            return no_update, no_update, no_update
        point = click["points"][0]
        return point["y"], point["x"], None

    @app.callback(
        Output("source", "value", allow_duplicate=True),
        Output("target", "value", allow_duplicate=True),
        Output("web-language", "value"),
        Output(components.chart_id("web"), "clickData"),
        Input(components.chart_id("web"), "clickData"),
        State("web-language", "value"),
        prevent_initial_call=True,
    )
    def clicked_web(click: dict[str, Any] | None, language: str | None) -> tuple[Any, Any, Any, Any]:
        """Choose the pair of an arc, or the language of a node; a second click on a language takes it back."""
        match click["points"][0].get("customdata") if click else None:
            case [str(source), str(target)]:
                return source, target, no_update, None
            case [str(clicked)]:
                return None, None, None if clicked == language else clicked, None
        return no_update, no_update, no_update, no_update

    @app.callback(
        Output("pair", "children"), Input("source", "value"), Input("target", "value"), State("parent", "value")
    )
    @errors_as_text
    def pair(source: str | None, target: str | None, parent: str | None) -> Component:
        if not source or not target:
            return components.note(web_panel.CHOOSE_A_PAIR)
        with open_registry() as registry:
            return web_panel.pair_details(registry, registry.parent(parent), source, target)


def register_alignment(app: Dash, open_registry: OpenRegistry) -> None:
    neighbourhoods = Neighbourhoods()

    @app.callback(
        Output("joint-map", "children"),
        Input("first-table", "value"),
        Input("second-table", "value"),
        State("parent", "value"),
    )
    @errors_as_text
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
    @errors_as_text
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


def register_translation(app: Dash, sentences: SentenceTranslator) -> None:
    @app.callback(
        Output("translation", "children"),
        Input("translate", "n_clicks"),
        State("translate-source", "value"),
        State("translate-target", "value"),
        State("text", "value"),
        State("parent", "value"),
        prevent_initial_call=True,
    )
    @errors_as_text
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
