from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.languages import Pair
from dashboards.views.views import (
    PairCell,
    PairMatrix,
    hover,
    module_facts,
    pair_matrix,
    sequence_sheets,
    spec_text,
    storage,
    zero_shot_matrix,
)
from registry import Registry
from tests.dashboards.conftest import SEPARATE, SHARED


def test_a_matrix_starts_with_the_original_pair(filled: Registry) -> None:
    matrix = pair_matrix(filled.pairs(), filled.scores(), "chrf")
    assert (matrix.sources, matrix.targets) == (("fr", "de"), ("en", "es"))
    assert [[cell and (cell.kind, cell.value) for cell in row] for row in matrix.rows()] == [
        [("original", 66.5), ("supervised", 46.0)],
        [("supervised", 57.75), ("zero-shot", 33.75)],
    ]
    cell = matrix.cells["de", "es"]
    assert (cell.recipe, cell.test) == ("source de-en:1, xattn fr-es:1, target fr-es:1", "test, 12 sentences, beam 1")


def test_pairs_without_a_score_have_a_cell_and_pairs_that_cannot_be_run_have_none(filled: Registry) -> None:
    entries = [replace(entry, score=None) for entry in filled.pairs() if entry.kind != "zero-shot"]
    matrix = pair_matrix(entries, [], "bleu")
    assert matrix.rows()[1][1] is None
    assert (matrix.cells["fr", "en"].value, matrix.cells["fr", "en"].test) == (None, "no score yet")
    assert pair_matrix([], [], "bleu").rows() == []


def test_hover_escapes_names() -> None:
    cell = PairCell(Pair("de", "en"), "supervised", "source a", 1.25, "<b>mine</b>")
    assert hover(cell, "chrf") == "de-en supervised<br>source a<br>chrF 1.2<br>&lt;b&gt;mine&lt;/b&gt;"


def test_pairs_in_the_wrong_language_are_marked_in_every_metric(filled: Registry) -> None:
    scores = filled.scores()
    of = next(one for one in scores if str(one.pair) == "de-es" and one.metric == "bleu")
    scores.append(replace(of, metric="offtarget", value=100.0, reference_value=25.0))
    for metric, value in (("bleu", of.value), ("offtarget", 100.0)):
        cells = pair_matrix(filled.pairs(), scores, metric).cells
        assert cells["de", "es"].value == value
        assert {pair: cell.remark for pair, cell in cells.items() if cell.remark} == {("de", "es"): "wrong language"}
    assert "<br>off-target % 100.0 (of references 25.0)<br>wrong language<br>" in hover(cells["de", "es"], "offtarget")


def test_zero_shot_pairs_after_the_last_addition(filled: Registry) -> None:
    matrix = zero_shot_matrix(filled.catalog.cells(SEPARATE.digest), "bleu")
    assert matrix is not None
    assert {pair: cell.value for pair, cell in matrix.cells.items()} == {("de", "es"): 14.5}
    assert matrix.cells["de", "es"].recipe == "position 2, after fr-es:1"
    assert zero_shot_matrix(filled.catalog.cells(SHARED.digest), "bleu") is None


def test_each_view_is_a_sheet_with_one_row_per_pair_and_one_column_per_position(filled: Registry) -> None:
    routed, through = sequence_sheets(SEPARATE, filled.catalog.cells(SEPARATE.digest), "bleu")
    assert (routed.view, through.view) == ("routed", "through")
    assert routed.positions == ("0", "1 de-en", "2 fr-es")
    assert [(row.label, row.values) for row in through.rows] == [
        ("fr-en original", (50.25, 47.75, 45.25)),
        ("de-en supervised", (None, 35.5, 33.0)),
        ("fr-es supervised", (None, None, 18.5)),
        ("de-es zero-shot", (None, None, 9.5)),
    ]
    assert routed.rows[0].values == (50.25, 50.25, 50.25)
    assert routed.rows[1].kinds == ("", "supervised", "supervised")
    assert routed.title == "BLEU, routed: every pair uses its own recipe"


@pytest.mark.parametrize(
    ("language", "limit", "shown", "left_out"), [(None, 3, 3, 1), ("de", 3, 2, 0), ("pt", 3, 0, 0)]
)
def test_rows_are_limited_and_filtered_by_language(
    filled: Registry, language: str | None, limit: int, shown: int, left_out: int
) -> None:
    sheets = sequence_sheets(SEPARATE, filled.catalog.cells(SEPARATE.digest), "bleu", language=language, limit=limit)
    assert [(len(sheet.rows), sheet.left_out) for sheet in sheets] == ([(shown, left_out)] * 2 if shown else [])


def test_rows_with_equal_labels_also_show_test_set_and_beam(filled: Registry) -> None:
    cells = [cell for cell in filled.catalog.cells(SHARED.digest) if cell.position == 0]
    other = replace(cells[0], test="news", test_digest="d" * 64)
    (sheet,) = sequence_sheets(SHARED, [*cells, other], "bleu")
    assert [row.label for row in sheet.rows] == ["fr-en original, news, beam 1", "fr-en original, test, beam 1"]


def test_storage_compared_with_full_copies(filled: Registry) -> None:
    stored = storage(filled.parent(), filled.modules())
    assert [name for name, _ in stored.modules] == ["de-en:1", "fr-es:1"]
    assert stored.modules_bytes == sum(module.bytes for module in filled.modules())
    assert stored.copies_bytes == 3 * filled.parent().bytes
    assert stored.summary.startswith("base: ")
    assert storage(replace(filled.parent(), name="other"), filled.modules()).modules == ()


def test_a_module_and_its_lineage(filled: Registry) -> None:
    module = filled.module("fr-es")
    facts = dict(module_facts(module, filled.parent().parameters))
    assert facts["parent"] == f"base ({filled.parent().fingerprint})"
    assert (facts["new side"], facts["scope"], facts["MLflow run id"]) == ("target es", "xattn", "run-7")
    assert facts["digest"] == module.digest
    assert '"seed": 1' in spec_text(module)


def test_an_empty_matrix() -> None:
    assert PairMatrix.of("bleu", []) == PairMatrix("bleu", (), (), {})
