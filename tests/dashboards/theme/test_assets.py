from __future__ import annotations

import re

from dashboards.charts.drawing import TEMPLATE
from dashboards.theme.assets import script, style
from dashboards.theme.palette import KIND_COLOURS, PALETTE


def test_the_style_sheet_uses_the_palettes_colours_and_no_others() -> None:
    palette, _, rules = style().partition("* {")
    assert not re.findall(r"#[0-9a-f]{3,8}\b", rules)
    used = set(re.findall(r"var\(--([a-z-]+)\)", rules))
    assert used <= {*PALETTE, *(f"kind-{kind}" for kind in KIND_COLOURS)}
    assert "--surface:#ffffff" in palette


def test_nothing_is_loaded_from_elsewhere() -> None:
    for text in (style(), script()):
        assert not re.findall(r"https?:|url\(|@import|fetch\(", text)


def test_charts_have_colours_that_the_script_can_replace() -> None:
    found = set(re.findall(r"#[0-9a-f]{6}\b", f"{TEMPLATE.to_plotly_json()}"))
    assert found
    assert all(f'"{colour}": "#' in script() for colour in found)
