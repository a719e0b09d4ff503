from __future__ import annotations

from dashboards.charts.drawing import inks


def test_labels_are_white_on_dark_cells_and_black_on_bright_ones() -> None:
    inked = inks([0.0, None, 40.0], "bleu")
    assert inked(0.0, "0.0") == "<span style='color:white'>0.0</span>"
    assert inked(40.0, "40.0") == "<span style='color:black'>40.0</span>"
    assert inks([0.0, 40.0], "offtarget")(0.0, "0.0") == "<span style='color:black'>0.0</span>"


def test_equal_values_have_the_middle_of_the_scale() -> None:
    assert inks([7.0], "bleu")(7.0, "7.0") == inks([6.0, 8.0], "bleu")(7.0, "7.0")
