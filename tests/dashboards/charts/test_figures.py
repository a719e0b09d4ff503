from __future__ import annotations

from itertools import product

from continual_mt.evaluation.embedding_map import JointMap
from continual_mt.languages import Pair
from dashboards.charts.drawing import fragment
from dashboards.charts.figures import (
    curves_figure,
    joint_map_figure,
    matrix_figure,
    sheet_figure,
    storage_figure,
)
from dashboards.theme.palette import KIND_COLOURS
from dashboards.views.views import (
    CURVES,
    Measurement,
    PairCell,
    PairMatrix,
    SequenceSheet,
    pair_matrix,
    sequence_sheets,
    storage,
)
from registry import Registry
from tests.dashboards.conftest import SEPARATE

PAIR = Pair("fr", "en")


def test_the_matrix_is_one_heatmap_and_shows_the_recipe_on_hover(filled: Registry) -> None:
    figure = matrix_figure(pair_matrix(filled.pairs(), filled.scores(), "bleu"), "a <title>")
    ground, heatmap = figure.data
    assert ground.hoverinfo == "skip"
    assert [list(row) for row in heatmap.z] == [[50.25, 23.5], [38.0, 14.5]]
    assert heatmap.text[1][1] == "<span style='color:white'>14.5<br>zero-shot</span>"
    assert "source de-en:1, xattn fr-es:1, target fr-es:1" in heatmap.hovertext[1][1]
    assert figure.layout.title.text == "a &lt;title&gt;"


def test_pairs_without_a_score_differ_from_pairs_that_cannot_be_run() -> None:
    cells = [
        PairCell(PAIR, "original", "", 1.0, ""),
        PairCell(Pair("de", "es"), "zero-shot", "", None, "no score yet"),
    ]
    ground, heatmap = matrix_figure(PairMatrix.of("bleu", cells), "").data
    assert [list(row) for row in ground.z] == [[0, None], [None, 0]]
    assert [list(row) for row in heatmap.z] == [[1.0, None], [None, None]]
    assert [list(row) for row in heatmap.text] == [["<span style='color:black'>1.0<br>original</span>", ""], ["", ""]]
    assert [list(row) for row in ground.text] == [["", ""], ["", "no score<br>zero-shot"]]
    assert heatmap.hovertext[0][1] == "cannot be run"
    assert "no score yet" in heatmap.hovertext[1][1]


def test_a_large_matrix_has_markers_instead_of_text() -> None:
    languages = [f"q{a}{b}" for a, b in product("abcdefghijklmnopqrst", "ab")]
    cells = [PairCell(PAIR, "original", "", 9.0, ""), PairCell(Pair("fr", "qaa"), "pivot", "", 7.0, "", models=2)]
    cells += [
        PairCell(Pair(f"{s}", f"{t}"), "zero-shot" if t != "en" else "supervised", "", 5.0, "")
        for s in languages[:20]
        for t in ("en", *languages[20:])
    ]
    _, heatmap, original, supervised, pivots = matrix_figure(PairMatrix.of("bleu", cells), "title").data
    assert heatmap.text is None
    assert (list(original.x), list(original.y)) == (["en"], ["fr"])
    assert (len(supervised.x), len(pivots.x)) == (20, 1)
    assert {original.hoverinfo, supervised.hoverinfo, pivots.hoverinfo} == {"skip"}
    assert {original.marker.color, pivots.marker.color} == {KIND_COLOURS[kind].light for kind in ("original", "pivot")}


def test_a_pivot_is_marked_with_the_number_of_its_models() -> None:
    cells = [PairCell(PAIR, "original", "", 9.0, ""), PairCell(Pair("fr", "es"), "pivot", "", None, "", models=2)]
    ground, heatmap = matrix_figure(PairMatrix.of("bleu", cells), "").data
    assert ground.text[0][1] == "no score<br>pivot, 2 models"
    assert "fr-es pivot<br>2 models per sentence" in heatmap.hovertext[0][1]


def test_a_sheet_and_curves(filled: Registry) -> None:
    sheets = sequence_sheets(SEPARATE, filled.catalog.cells(SEPARATE.digest), "bleu")
    heatmap = sheet_figure(sheets[1]).data[0]
    assert list(heatmap.x) == ["0", "1 de-en", "2 fr-es"]
    assert list(heatmap.z[1]) == [None, 35.5, 33.0]
    curves = curves_figure(sheets).data
    assert [curve.name for curve in curves[:4]] == [row.label for row in sheets[0].rows]
    assert [curve.showlegend for curve in curves] == [True] * 4 + [False] * 4
    assert curves[0].line.color == curves[4].line.color


def test_the_title_counts_the_curves_above_the_limit() -> None:
    rows = tuple(
        Measurement(f"row {i}", PAIR, (1.0, 2.0), ("original", "original"), (False, True)) for i in range(CURVES + 5)
    )
    figure = curves_figure([SequenceSheet("routed", "bleu", ("0", "1"), rows, left_out=10)])
    assert len(figure.data) == CURVES
    assert figure.layout.title.text.endswith(f"({CURVES} of {CURVES + 15} rows)")


def test_storage_bars(filled: Registry) -> None:
    stored = storage(filled.parent(), filled.modules())
    parent, modules, copies, each = storage_figure(stored).data
    assert (parent.y[0], modules.y[0], copies.y[1]) == (stored.parent_bytes, stored.modules_bytes, stored.copies_bytes)
    assert list(each.x) == ["parent base", "de-en:1", "fr-es:1"]


def test_the_map_has_one_colour_per_language_and_one_line_per_link() -> None:
    drawn = JointMap(
        ("Haus", "<b>", "maison"), ("de", "de", "fr"), ((0.0, 1.0), (2.0, 3.0), (4.0, 5.0)), ((0, 2),), (0.4, 0.1)
    )
    figure = joint_map_figure(drawn, "de & fr")
    lines, german, french = figure.data
    assert (list(lines.x), list(lines.y)) == ([0.0, 4.0, None], [1.0, 5.0, None])
    assert (list(german.text), list(german.x), list(german.y)) == (["Haus", "&lt;b&gt;"], [0.0, 2.0], [1.0, 3.0])
    assert list(german.hovertext) == ["Haus (de)", "&lt;b&gt; (de)"]
    assert (french.name, list(french.text)) == ("fr", ["maison"])
    assert figure.layout.xaxis.title.text == "40.0% of the variance"
    assert figure.layout.title.text == "de &amp; fr"


def test_a_fragment_has_no_button_that_sends_data_away(filled: Registry) -> None:
    drawn = fragment(storage_figure(storage(filled.parent(), [])))
    assert '"modeBarButtonsToRemove": ["sendChartToCloud"' in drawn
    assert "<script src" not in drawn
