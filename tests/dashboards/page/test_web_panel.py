from __future__ import annotations

import json
from typing import Any

import plotly.io
import pytest
from dash.development.base_component import Component

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import UnknownNameError
from continual_mt.languages import Pair
from dashboards.page.web_panel import drawn_web, languages_of, pair_details, web_panel
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule
from tests.registry.web import add_web

KINDS_SHOWN = ("pivot through es", "zero-shot", "bridge", "supervised")


def text_of(component: Component) -> str:
    """All text of an element, as Dash sends it to the browser."""
    found: list[str] = []

    def gather(part: Any) -> None:
        if isinstance(part, dict):
            gather(part.get("props", {}).get("children"))
        elif isinstance(part, list):
            for each in part:
                gather(each)
        elif part is not None:
            found.append(str(part))

    gather(json.loads(plotly.io.json.to_json_plotly(component)))
    return "\n".join(found)


@pytest.fixture
def webbed(filled: Registry, make_module: MakeModule, lineage: Lineage, tokenizers: dict[str, Tokenizer]) -> Registry:
    add_web(filled, make_module, lineage, tokenizers)
    return filled


def test_the_lists_have_the_languages_of_parent_and_modules(webbed: Registry) -> None:
    assert languages_of(webbed, webbed.parent()) == (["de", "es", "fr", "nl"], ["en", "es", "pt"])
    assert "Zero-shot and pivot pairs are drawn for a chosen language." in text_of(
        web_panel(webbed, webbed.parent(), "bleu")
    )


def test_a_chosen_pivot_is_drawn_with_its_legs(webbed: Registry) -> None:
    figure = drawn_web(webbed, webbed.parent(), "bleu", None, Pair("de", "pt"))
    clear = {
        f"{source}-{target}"
        for trace in figure["data"]
        if trace["mode"] == "markers" and trace["opacity"] > 0.5
        for source, target in trace["customdata"]
    }
    assert {"de-pt", "de-es", "es-pt"} < clear
    assert "nl-en" not in clear


def test_a_pair_that_cannot_be_run_leaves_the_web_as_it_is(webbed: Registry) -> None:
    parent = webbed.parent()
    assert drawn_web(webbed, parent, "bleu", None, Pair("en", "de")) == drawn_web(webbed, parent, "bleu", None, None)
    with pytest.raises(UnknownNameError, match="en-de"):
        pair_details(webbed, parent, "en", "de")


def test_details_have_the_candidates_with_the_chosen_one_first(webbed: Registry) -> None:
    lines = text_of(pair_details(webbed, webbed.parent(), "de", "pt")).split("\n")
    assert "It runs with pivot through es: " in " ".join(lines)
    recipes = [line for line in lines[lines.index("Candidates") : lines.index("Samples")] if line in KINDS_SHOWN]
    assert recipes[0] == "pivot through es"
    assert "zero-shot" in recipes
    lineage = lines[lines.index("Lineage") :]
    assert any(line.startswith("base/de-es:1: a bridge") for line in lineage)
    assert any(line.startswith("base/es-pt:1: new source es") for line in lineage)
