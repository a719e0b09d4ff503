"""The style sheet and the script that the page and the report put into their HTML, since they load no files."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from dashboards.theme.palette import css_variables, dark_of_light


@cache
def style() -> str:
    """Return the style sheet, which begins with the colours of the palette."""
    return css_variables() + _text("style.css")


@cache
def script() -> str:
    """Return the script that follows the system's dark mode or the reader's choice, and recolours charts."""
    return f"const DARK_OF_LIGHT = {json.dumps(dark_of_light())};\n{_text('theme.js')}"


def _text(name: str) -> str:
    return (files("dashboards.theme") / name).read_text(encoding="utf-8")
