from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from dashboards.charts.web_chart import MOST_LEVEL_LABELS, MOST_TURNED_LABELS, STEPS, web_figure, web_title
from dashboards.theme.palette import KIND_COLOURS
from dashboards.views.views import PairCell, PairMatrix
from dashboards.views.web import Web

DE_ES = Pair("de", "es")


def cell(pair: str, kind: RecipeKind, value: float | None = None, models: int = 1) -> PairCell:
    return PairCell(Pair.parse(pair), kind, "", value, "", models=models)


def web_of(*cells: PairCell, metric: str = "bleu") -> Web:
    return Web.of(PairMatrix.of(metric, cells), ParentLanguages.of_pair(Pair("fr", "en")))


@pytest.fixture
def web() -> Web:
    return web_of(
        cell("fr-en", "original", 40.0),
        cell("de-en", "supervised", 30.0),
        cell("fr-es", "supervised", 10.0),
        cell("de-es", "zero-shot"),
        cell("de-pt", "pivot", 5.0, models=2),
    )


def edges(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The line of each edge: its trace, and where it is in it."""
    found = {}
    for trace in figure["data"]:
        if trace["mode"] == "lines" and "customdata" in trace:
            for source, target in trace["customdata"][:: STEPS + 1]:
                found[f"{source}-{target}"] = trace
    return found


def test_trained_pairs_have_the_colour_of_their_kind_and_better_ones_are_wider(web: Web) -> None:
    drawn = edges(web_figure(web, ""))
    assert set(drawn) == {"fr-en", "de-en", "fr-es"}
    assert drawn["fr-en"]["line"]["color"] == KIND_COLOURS["original"].light
    assert drawn["de-en"]["line"]["color"] == drawn["fr-es"]["line"]["color"] == KIND_COLOURS["supervised"].light
    assert drawn["fr-en"]["line"]["width"] > drawn["de-en"]["line"]["width"] > drawn["fr-es"]["line"]["width"]


def test_where_lower_is_better_lower_scores_are_wider() -> None:
    web = web_of(cell("de-en", "supervised", 1.0), cell("nl-en", "supervised", 50.0), metric="offtarget")
    drawn = edges(web_figure(web, ""))
    assert drawn["de-en"]["line"]["width"] > drawn["nl-en"]["line"]["width"]


def test_a_chosen_language_shows_all_its_pairs_and_fades_the_others(web: Web) -> None:
    drawn = edges(web_figure(web, "", "de"))
    assert set(drawn) == {"fr-en", "de-en", "fr-es", "de-es", "de-pt"}
    assert drawn["de-es"]["line"]["dash"] == "dot"  # has no score
    assert drawn["de-pt"]["line"]["dash"] == "solid"
    assert drawn["fr-es"]["opacity"] < 0.2 < drawn["de-en"]["opacity"]


def test_a_chosen_pair_is_drawn_over_those_that_it_rests_on(web: Web) -> None:
    figure = web_figure(web, "", None, [DE_ES, Pair("de", "en"), Pair("fr", "es")])
    drawn = edges(figure)
    assert list(drawn)[-1] == "de-es"
    assert drawn["de-es"]["line"]["width"] == max(trace["line"]["width"] for trace in drawn.values())
    assert drawn["fr-en"]["opacity"] < 0.2 < drawn["fr-es"]["opacity"]


def test_arrows_point_from_the_source_to_the_target(web: Web) -> None:
    (arrow,) = [
        trace
        for trace in web_figure(web, "", None, [DE_ES])["data"]
        if trace["mode"] == "markers" and trace["customdata"] == [["de", "es"]]
    ]
    assert web.nodes["de"].x < arrow["x"][0] < web.nodes["es"].x
    assert 0 < arrow["marker"]["angle"][0] < 180  # to the right
    assert "de-es zero-shot" in arrow["text"][0]


def test_the_hover_text_of_a_pivot_has_its_number_of_models(web: Web) -> None:
    text = edges(web_figure(web, "", "pt"))["de-pt"]["text"]
    assert "de-pt pivot" in text[0]
    assert "2 models per sentence" in text[0]


def test_the_legend_has_the_kinds_that_are_drawn(web: Web) -> None:
    def legend(language: str | None) -> list[str]:
        return [trace["name"] for trace in web_figure(web, "", language)["data"] if trace["showlegend"]]

    assert legend(None) == ["original", "supervised"]
    assert legend("de") == ["original", "supervised", "zero-shot", "pivot"]


def test_nodes_name_their_language_and_count_its_pairs(web: Web) -> None:
    nodes = web_figure(web, "")["data"][-1]
    described = dict(zip((one for (one,) in nodes["customdata"]), nodes["hovertext"], strict=True))
    assert described["de"] == "de<br>added as a source<br>3 pairs from it, 0 into it"
    assert described["en"] == "en<br>a language of the parent<br>0 pairs from it, 2 into it"


@pytest.mark.parametrize(
    ("count", "level", "turned"),
    [(MOST_LEVEL_LABELS, MOST_LEVEL_LABELS, 0), (200, 0, 200), (MOST_TURNED_LABELS + 1, 0, 0)],
)
def test_labels_are_level_then_turned_then_only_on_hover(count: int, level: int, turned: int) -> None:
    letters = "abcdefghijklmnopqrst"
    tags = [f"q{a}{b}" for a in letters for b in letters][:count]
    figure = web_figure(web_of(cell("fr-en", "original"), *(cell(f"{tag}-en", "supervised") for tag in tags)), "")
    assert sum(text != "" for text in figure["data"][-1]["text"]) == level + 2  # and both of the parent
    assert len(figure["layout"]["annotations"]) == turned


def test_it_is_a_figure_that_plotly_accepts(web: Web) -> None:
    figure = go.Figure(web_figure(web, web_title(web, "de"), "de", [DE_ES]))
    assert figure.layout.title.text == "BLEU: the pairs of de, of 5 that can be run"
    assert web_title(web) == "BLEU: trained pairs, of 5 that can be run"
