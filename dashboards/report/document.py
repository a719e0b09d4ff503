"""A whole HTML file in one piece: it holds plotly.js, and forbids itself to load anything."""

from __future__ import annotations

import html

from plotly.offline import get_plotlyjs

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
# Nothing may be fetched; what plotly makes itself (pictures to be saved) is data or a blob.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def document(title: str, body: str) -> str:
    """A self-contained page; ``body`` is HTML, with figures as `figures.fragment` gives them."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n{body}\n</body></html>\n"
    )
