"""The web of languages as a figure: languages are nodes, pairs are arcs with an arrow towards the target."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import atan2, degrees
from typing import Any

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.metric_names import METRIC_LABELS, is_higher_better
from continual_mt.languages import Pair
from dashboards.charts.drawing import layout
from dashboards.tables.artifacts import KINDS
from dashboards.theme.palette import KIND_COLOURS, role
from dashboards.views.views import PairCell, hover
from dashboards.views.web import Node, Role, Web, curve

Trace = dict[str, Any]
STEPS = 11
"""Points of an arc; the pointer finds an edge at each of them."""
MOST_LEVEL_LABELS = 44  # on the outer circle; of more languages the labels are turned, so that they do not overlap
MOST_TURNED_LABELS = 230
_LABEL_SIZE = 9
_MIDDLE = STEPS // 2
_WIDTHS = (1.2, 1.9, 2.7, 3.6)
_MANY = 80  # edges, which are drawn thinner
_FADED, _DIM, _CLEAR = 0.1, 0.3, 0.85
_CHOSEN_WIDTH = 5.0
ROLES: dict[Role, str] = {
    "parent": "a language of the parent",
    "source": "added as a source",
    "target": "added as a target",
    "both": "added as source and target",
}


@dataclass(frozen=True)
class _Style:
    """How an edge is drawn; equal edges are one trace.

    ``band`` is None without a score, else an index of widths. ``opacity`` is lower for an edge that is not of what
    is chosen.
    """

    kind: RecipeKind
    band: int | None
    opacity: float
    is_chosen: bool

    def line(self, thin: float) -> Trace:
        width = _CHOSEN_WIDTH if self.is_chosen else thin * _WIDTHS[self.band or 0]
        return {
            "color": KIND_COLOURS[self.kind].light,
            "width": width,
            "dash": "dot" if self.band is None and not self.is_chosen else "solid",
        }


def web_figure(web: Web, title: str, language: str | None = None, pairs: Sequence[Pair] = ()) -> dict[str, Any]:
    """Draw the trained pairs, all pairs of ``language``, and ``pairs``: a chosen pair and those that it rests on.

    With a language or pairs chosen, everything else is faded. Each edge and its arrow carry source and target as custom
    data, each node its language. The result is a dictionary of ``data`` and ``layout``: plotly's classes would check
    each of ten thousand coordinates and texts, which takes longer than all the rest.
    """
    cells = web.shown(language, pairs)
    thin = 0.6 if len(cells) > _MANY else 1.0
    styles = _styles(web, cells, language, pairs)
    traces = [trace for style, group in styles.items() for trace in _edges(web, style, group, thin)]
    traces += [*_legend({cell.kind for cell in cells}), _nodes(web, language, pairs)]
    return {"data": traces, "layout": _layout(web, title)}


def _layout(web: Web, title: str) -> Trace:
    outer = [node for node in web.nodes.values() if node.role != "parent"]
    is_turned = len(outer) > MOST_LEVEL_LABELS
    labels = outer if is_turned and len(outer) <= MOST_TURNED_LABELS else ()
    edge = 1.18 if is_turned else 1.1
    axis = {"visible": False, "range": [-edge, edge], "constrain": "domain"}
    return {
        **layout(title),
        "hovermode": "closest",
        "hoverdistance": 12,
        "dragmode": "pan",
        "uirevision": "web",  # a redrawn web keeps where the reader moved it
        "annotations": [_turned_label(node) for node in labels],
        "xaxis": axis,
        "yaxis": {**axis, "scaleanchor": "x"},
        "margin": {"l": 20, "r": 20, "t": 44, "b": 8},
        "modebar": {"orientation": "v"},
        "legend": {"orientation": "h", "x": 0.01, "y": -0.02},
    }


def _styles(
    web: Web, cells: Iterable[PairCell], language: str | None, pairs: Sequence[Pair]
) -> dict[_Style, list[PairCell]]:
    """Group edges that look the same; what is chosen comes last, so that it is drawn over the others."""
    bands = _bands(web)
    found: dict[_Style, list[PairCell]] = {}
    for cell in cells:
        if cell.pair in pairs or not (language or pairs):
            opacity = _CLEAR
        elif language in (cell.pair.source, cell.pair.target):
            opacity = _DIM if pairs else _CLEAR
        else:
            opacity = _FADED
        style = _Style(cell.kind, bands(cell.value), opacity, cell.pair in pairs[:1])
        found.setdefault(style, []).append(cell)

    def place(style: _Style) -> tuple[bool, float, int]:
        return style.is_chosen, style.opacity, -KINDS.index(style.kind)

    return {style: found[style] for style in sorted(found, key=place)}


def _bands(web: Web) -> Callable[[float | None], int | None]:
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


def _edges(web: Web, style: _Style, cells: Sequence[PairCell], thin: float) -> Iterator[Trace]:
    """Draw edges of one style as one line with gaps, and their arrows, which point in the direction of translation."""
    arcs = [curve(web.nodes[cell.pair.source], web.nodes[cell.pair.target], STEPS) for cell in cells]
    texts = [hover(cell, web.metric) for cell in cells]
    pairs = [[cell.pair.source, cell.pair.target] for cell in cells]
    same = {"type": "scatter", "hoverinfo": "text", "showlegend": False, "opacity": style.opacity, "name": style.kind}
    line = style.line(thin)
    yield {
        **same,
        "mode": "lines",
        "line": line,
        "x": [x for arc in arcs for x in (*(point[0] for point in arc), None)],
        "y": [y for arc in arcs for y in (*(point[1] for point in arc), None)],
        "text": [one for text in texts for one in (*[text] * STEPS, None)],
        "customdata": [one for pair in pairs for one in (*[pair] * STEPS, None)],
    }
    yield {
        **same,
        "mode": "markers",
        "x": [arc[_MIDDLE][0] for arc in arcs],
        "y": [arc[_MIDDLE][1] for arc in arcs],
        "text": texts,
        "customdata": pairs,
        "marker": {
            "symbol": "arrow",
            "size": 9 * thin + 1.5 * line["width"],
            "color": line["color"],
            "angle": [_direction(arc[_MIDDLE - 1], arc[_MIDDLE + 1]) for arc in arcs],
        },
    }


def _direction(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return the direction from one point to another in degrees, clockwise from the top."""
    return degrees(atan2(end[0] - start[0], end[1] - start[1]))


def _legend(kinds: Collection[RecipeKind]) -> list[Trace]:
    """Return one entry for each kind, in the order of `KINDS`; its trace draws nothing."""
    drawn = {"type": "scatter", "mode": "lines", "x": [None], "y": [None], "hoverinfo": "skip", "showlegend": True}
    return [
        {**drawn, "name": kind, "line": {"color": KIND_COLOURS[kind].light, "width": 4}}
        for kind in KINDS
        if kind in kinds
    ]


def _nodes(web: Web, language: str | None, pairs: Sequence[Pair]) -> Trace:
    nodes = list(web.nodes.values())
    is_level = sum(node.role != "parent" for node in nodes) <= MOST_LEVEL_LABELS
    in_focus = {one for pair in pairs for one in (pair.source, pair.target)}
    chosen = in_focus | ({language} if language else set())
    in_focus |= web.neighbours(language) if language else set()
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": "languages",
        "showlegend": False,
        "cliponaxis": False,  # in a narrow window, labels reach into the margin
        "x": [node.x for node in nodes],
        "y": [node.y for node in nodes],
        "text": [f"<b>{node.language}</b>" if node.role == "parent" else node.language * is_level for node in nodes],
        "textposition": [_beside(node) for node in nodes],
        "textfont": {"size": 13, "color": [role("on-accent" if _is_inside(node) else "text") for node in nodes]},
        "hovertext": _descriptions(web, nodes),
        "hoverinfo": "text",
        "customdata": [[node.language] for node in nodes],
        "marker": {
            "size": [30 if node.role == "parent" else 13 if is_level else 7 for node in nodes],
            "color": [role("accent" if node.role == "parent" else "muted") for node in nodes],
            "opacity": [1.0 if not in_focus or node.language in in_focus else 0.3 for node in nodes],
            "line": {
                "width": [3 if node.language in chosen else 1.5 for node in nodes],
                "color": [role("text" if node.language in chosen else "surface") for node in nodes],
            },
        },
    }


def _is_inside(node: Node) -> bool:
    """Whether a label fits into its node, as most tags fit into the larger nodes of the parent."""
    return node.role == "parent" and len(node.language) <= 3


def _beside(node: Node) -> str:
    """Return where the label of a node is: away from the centre, where the edges are."""
    if node.role == "parent":
        return "middle center" if _is_inside(node) else "top center"
    if abs(node.x) > 0.35:
        return "middle right" if node.x > 0 else "middle left"
    return "top center" if node.y > 0 else "bottom center"


def _turned_label(node: Node) -> Trace:
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


def web_title(web: Web, language: str | None = None) -> str:
    """Return the title: what is drawn, and of how many pairs."""
    drawn = f"the pairs of {language}" if language else "trained pairs"
    return f"{METRIC_LABELS[web.metric]}: {drawn}, of {len(web.cells):,} that can be run"
