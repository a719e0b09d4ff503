"""Self-contained HTML files: each holds plotly.js, and its policy forbids the browser to load anything."""

from __future__ import annotations

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dashboards.charts.figures import fragment

STYLE = """
body { font-family: system-ui, sans-serif; margin: 1rem 2rem; color: #222; max-width: 1400px }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd }
td.wide { overflow-wrap: anywhere; min-width: 6rem }
.number { text-align: right; font-variant-numeric: tabular-nums }
td.number { white-space: nowrap }
details { margin: .3rem 0 }
summary { cursor: pointer }
pre { background: #f6f6f6; padding: .5rem; overflow-x: auto }
.controls { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: center; margin: .5rem 0 }
.controls .choice { min-width: 12rem }
.controls.tables { align-items: end }
.controls.tables .choice { min-width: 17rem }
.beside { display: flex; flex-wrap: wrap; gap: 1rem }
.beside > :first-child { flex: 1 1 40rem; min-width: 0 }
.beside > :last-child { flex: 0 1 18rem }
.problem { border-left: 4px solid #c33; padding: .5rem 1rem; background: #fdf3f3; white-space: pre-wrap }
.note { color: #555 }
textarea { width: 100%; max-width: 60rem; font: inherit }
"""


def render(template: str, title: str, **values: object) -> str:
    """The text of a template in ``templates/``. All values are escaped; the filter ``drawn`` draws a figure."""
    return _ENVIRONMENT.get_template(template).render(
        title=title, style=Markup(STYLE), plotly=Markup(get_plotlyjs()), **values
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
