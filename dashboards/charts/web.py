"""The web of languages as a figure: languages are nodes, pairs are arcs with an arrow towards the target."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import atan2, degrees
from typing import Any

import plotly.graph_objects as go

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.metric_names import METRIC_LABELS, is_higher_better
from continual_mt.languages import Pair
from dashboards.charts.drawing import titled
from dashboards.tables.artifacts import KINDS
from dashboards.theme.palette import KIND_COLOURS, role
from dashboards.views.views import PairCell, hover
from dashboards.views.web import Node, Role, Web, curve

HEIGHT = 720
STEPS = 11
"""Points of an arc; the pointer finds an edge at each of them."""
MOST_LEVEL_LABELS = 44  # on the outer circle; of more languages the labels are turned, so that they do not overlap
MOST_TURNED_LABELS = 230
_LABEL_SIZE = 9
_MIDDLE = STEPS // 2
_WIDTHS = (1.2, 1.9, 2.7, 3.6)
_MANY = 80  # edges, which are drawn thinner
_FADED, _CLEAR = 0.1, 0.85
_CHOSEN_WIDTH = 5.0
ROLES: dict[Role, str] = {
    "parent": "a language of the parent",
    "source": "added as a source",
    "target": "added as a target",
    "both": "added as source and target",
}


@dataclass(frozen=True)
class _Style:
    """How an edge is drawn; equal edges are one trace. ``band`` is None without a score, else an index of widths."""

    kind: RecipeKind
    band: int | None
    is_chosen: bool
    is_faded: bool

    def line(self, thin: float) -> dict[str, Any]:
        width = _CHOSEN_WIDTH if self.is_chosen else thin * _WIDTHS[self.band or 0]
        return {
            "color": KIND_COLOURS[self.kind].light,
            "width": width,
            "dash": "dot" if self.band is None and not self.is_chosen else "solid",
        }

    @property
    def opacity(self) -> float:
        return _FADED if self.is_faded else 1.0 if self.is_chosen else _CLEAR


def web_figure(web: Web, title: str, language: str | None = None, pairs: Sequence[Pair] = ()) -> go.Figure:
    """Draw the trained pairs, all pairs of ``language``, and ``pairs``: a chosen pair and those that it rests on.

    With a language or pairs chosen, everything else is faded. Each edge and its arrow carry source and target as custom
    data, each node its language.
    """
    cells = web.shown(language, pairs)
    figure = go.Figure()
    styles = _styles(web, cells, language, pairs)
    for style, group in styles.items():
        figure.add_traces(_edges(web, style, group, thin=0.6 if len(cells) > _MANY else 1.0))
    figure.add_traces(_legend({cell.kind for cell in cells}))
    figure.add_traces(_nodes(web, language, pairs))
    figure.update_layout(hovermode="closest", hoverdistance=12, uirevision="web", dragmode="pan")
    outer = [node for node in web.nodes.values() if node.role != "parent"]
    turned = len(outer) > MOST_LEVEL_LABELS
    if turned and len(outer) <= MOST_TURNED_LABELS:
        figure.update_layout(annotations=[_turned_label(node) for node in outer])
    edge = 1.24 if turned else 1.15
    axis = {"visible": False, "range": [-edge, edge], "constrain": "domain"}
    figure.update_xaxes(**axis).update_yaxes(**axis, scaleanchor="x")
    titled(figure, title, HEIGHT)
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 44, "b": 8}, legend={"y": -0.02, "x": 0.01})


def _styles(
    web: Web, cells: Iterable[PairCell], language: str | None, pairs: Sequence[Pair]
) -> dict[_Style, list[PairCell]]:
    """Group edges that look the same; what is chosen comes last, so that it is drawn over the others."""
    bands = _bands(web)
    found: dict[_Style, list[PairCell]] = {}
    for cell in cells:
        of_language = language in (cell.pair.source, cell.pair.target)
        faded = bool(language or pairs) and not of_language and cell.pair not in pairs
        style = _Style(cell.kind, bands(cell.value), cell.pair == (pairs[0] if pairs else None), faded)
        found.setdefault(style, []).append(cell)

    def place(style: _Style) -> tuple[bool, bool, int]:
        return style.is_chosen, not style.is_faded, -KINDS.index(style.kind)

    return {style: found[style] for style in sorted(found, key=place)}


def _bands(web: Web) -> Any:
    """Return a function from a score to the index of its width, by the range of all scores; better is wider."""
    values = [cell.value for cell in web.cells.values() if cell.value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)

    def band(value: float | None) -> int | None:
        if value is None:
            return None
        share = (value - low) / (high - low) if high > low else 1.0
        share = share if is_higher_better(web.metric) else 1 - share
        return min(len(_WIDTHS) - 1, int(share * len(_WIDTHS)))

    return band


def _edges(web: Web, style: _Style, cells: Sequence[PairCell], *, thin: float) -> list[go.Scatter]:
    """Draw edges of one style as one line with gaps, and their arrows, which point in the direction of translation."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    ends: list[list[str] | None] = []
    middles = []
    for cell in cells:
        points = curve(web.nodes[cell.pair.source], web.nodes[cell.pair.target], STEPS)
        x += [*(point[0] for point in points), None]
        y += [*(point[1] for point in points), None]
        text += [*[hover(cell, web.metric)] * STEPS, None]
        ends += [*[[cell.pair.source, cell.pair.target]] * STEPS, None]
        (from_x, from_y), (to_x, to_y) = points[_MIDDLE - 1], points[_MIDDLE + 1]
        middles.append((*points[_MIDDLE], degrees(atan2(to_x - from_x, to_y - from_y))))
    same: dict[str, Any] = {"hoverinfo": "text", "showlegend": False, "opacity": style.opacity, "name": style.kind}
    line = style.line(thin)
    arrows = {
        "symbol": "triangle-up",
        "size": 7 + 1.2 * line["width"],
        "angle": [angle for *_, angle in middles],
        "color": line["color"],
    }
    texts = [hover(cell, web.metric) for cell in cells]
    pairs = [[cell.pair.source, cell.pair.target] for cell in cells]
    return [
        go.Scatter(x=x, y=y, text=text, customdata=ends, mode="lines", line=line, **same),
        go.Scatter(
            x=[place[0] for place in middles],
            y=[place[1] for place in middles],
            text=texts,
            customdata=pairs,
            mode="markers",
            marker=arrows,
            **same,
        ),
    ]


def _legend(kinds: Collection[RecipeKind]) -> list[go.Scatter]:
    """Return one entry for each kind, in the order of `KINDS`; its trace draws nothing."""
    return [
        go.Scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": KIND_COLOURS[kind].light, "width": 4},
            name=kind,
            hoverinfo="skip",
        )
        for kind in KINDS
        if kind in kinds
    ]


def _nodes(web: Web, language: str | None, pairs: Sequence[Pair]) -> go.Scatter:
    nodes = list(web.nodes.values())
    outer = sum(node.role != "parent" for node in nodes)
    level = outer <= MOST_LEVEL_LABELS
    in_focus = {one for pair in pairs for one in (pair.source, pair.target)}
    in_focus |= web.neighbours(language) if language else set()
    chosen = {language} if language else set(in_focus)
    small = 13 if level else 7
    return go.Scatter(
        x=[node.x for node in nodes],
        y=[node.y for node in nodes],
        mode="markers+text",
        text=[f"<b>{node.language}</b>" if node.role == "parent" else node.language * level for node in nodes],
        textposition=[_beside(node) for node in nodes],
        textfont={"size": 13, "color": role("text")},
        hovertext=_descriptions(web, nodes),
        hoverinfo="text",
        customdata=[[node.language] for node in nodes],
        marker={
            "size": [20 if node.role == "parent" else small for node in nodes],
            "color": [role("accent" if node.role == "parent" else "muted") for node in nodes],
            "opacity": [1.0 if not in_focus or node.language in in_focus else 0.3 for node in nodes],
            "line": {
                "width": [3 if node.language in chosen else 1.5 for node in nodes],
                "color": [role("text" if node.language in chosen else "surface") for node in nodes],
            },
        },
        name="languages",
        showlegend=False,
    )


def _beside(node: Node) -> str:
    """Return where the label of a node is: away from the centre, where the edges are."""
    if node.role == "parent":
        return "top right" if node.x >= 0 else "bottom left"
    if abs(node.x) > 0.35:
        return "middle right" if node.x > 0 else "middle left"
    return "top center" if node.y > 0 else "bottom center"


def _turned_label(node: Node) -> dict[str, Any]:
    """Return an annotation that reads outwards from a node, never upside down."""
    is_left = 90 < node.angle < 270
    away = 8 + _LABEL_SIZE * 0.3 * len(node.language)  # pixels from the node to the middle of its label
    return {
        "x": node.x,
        "y": node.y,
        "xshift": node.x * away,
        "yshift": node.y * away,
        "xanchor": "center",
        "yanchor": "middle",
        "text": node.language,
        "textangle": -(node.angle - 180 if is_left else node.angle),
        "showarrow": False,
        "font": {"size": _LABEL_SIZE, "color": role("muted")},
        "captureevents": False,
    }


def _descriptions(web: Web, nodes: Iterable[Node]) -> list[str]:
    """Return the hover text of each language: what it is, and how many pairs it has."""
    from_it, into_it = (Counter(pair[end] for pair in web.cells) for end in (0, 1))
    return [
        "<br>".join(
            map(
                html.escape,
                (
                    node.language,
                    ROLES[node.role],
                    f"{from_it[node.language]:,} pairs from it, {into_it[node.language]:,} into it",
                ),
            )
        )
        for node in nodes
    ]


def web_title(web: Web, language: str | None) -> str:
    """Return the title: what is drawn, and of how many pairs."""
    drawn = f"the pairs of {language}" if language else "trained pairs"
    return f"{METRIC_LABELS[web.metric]}: {drawn}, of {len(web.cells):,} that can be run"
