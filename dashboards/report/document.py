"""Self-contained HTML files: each holds plotly.js, and its policy forbids the browser to load anything."""

from __future__ import annotations

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dashboards.charts.drawing import fragment
from dashboards.theme.assets import script, style


def render(template: str, title: str, **values: object) -> str:
    """The text of a template in ``templates/``. All values are escaped; the filter ``drawn`` draws a figure."""
    return _ENVIRONMENT.get_template(template).render(
        title=title, style=Markup(style()), script=Markup(script()), plotly=Markup(get_plotlyjs()), **values
    )


def figure_document(title: str, figure: go.Figure) -> str:
    """A file that shows one figure."""
    return render("document.html.jinja", title, figure=figure)


def _drawn(figure: go.Figure) -> Markup:
    return Markup(fragment(figure))  # plotly escapes what it writes


_ENVIRONMENT = Environment(
    loader=PackageLoader("dashboards.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["drawn"] = _drawn
