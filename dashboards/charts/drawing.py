"""What all interactive charts share: their look, made of the palette, their title, and their buttons."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from continual_mt.evaluation.metric_names import is_higher_better
from dashboards.theme.palette import SERIES, luminance, role

# Without the buttons that upload a chart to plotly's site: the data must stay on this machine.
CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d"],
}
TRANSPARENT = "rgba(0,0,0,0)"
_AXIS = {
    "gridcolor": role("line"),
    "linecolor": role("line"),
    "zerolinecolor": role("line"),
    "tickcolor": role("line"),
    "automargin": True,
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": role("text")},
        "paper_bgcolor": TRANSPARENT,  # the card in which the chart lies
        "plot_bgcolor": TRANSPARENT,
        "colorway": [colour.light for colour in SERIES],
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {
            "bgcolor": role("raised"),
            "bordercolor": role("line"),
            "font": {"color": role("text"), "size": 13},
            "align": "left",
        },
        "modebar": {"bgcolor": TRANSPARENT, "color": role("muted"), "activecolor": role("accent")},
        "legend": {"font": {"color": role("text")}},
    }
)


def titled(figure: go.Figure, title: str, height: int) -> go.Figure:
    """Give a figure its title, its height in pixels, and the look of all charts."""
    return figure.update_layout(layout(title), height=height)


def layout(title: str) -> dict[str, Any]:
    """Return what the layouts of all charts have in common."""
    font = {"text": html.escape(title), "font": {"size": 15}}
    return {
        "title": {**font, "x": 0.01, "yref": "container", "y": 0.98, "yanchor": "top"},
        "template": TEMPLATE,
        "margin": {"l": 60, "r": 20, "t": 100, "b": 60},
        "legend": {"orientation": "h", "y": -0.15},
    }


def colour_scale(metric: str) -> str:
    """Bright is good: where lower is better the scale is reversed."""
    return "Viridis" if is_higher_better(metric) else "Viridis_r"


def inks(values: Iterable[float | None], metric: str) -> Callable[[float, str], str]:
    """Return a function from a value and its label to a label that can be read in the value's cell of a heatmap.

    ``values`` are all values of the heatmap. plotly's own choice, dark grey or white, has too little contrast in the
    middle of the scale; of black and white, one always has at least 4.5.
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)

    def inked(value: float, label: str) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        (cell,) = sample_colorscale(colour_scale(metric), [share], colortype="tuple")
        return f"<span style='color:{'black' if luminance(cell) > 0.18 else 'white'}'>{label}</span>"

    return inked


def fragment(figure: go.Figure) -> str:
    """Return an HTML fragment that draws the figure; the page has to load plotly.js."""
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG))
