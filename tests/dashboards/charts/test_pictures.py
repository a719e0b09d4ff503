from __future__ import annotations

import io

from matplotlib.image import imread

from continual_mt.languages import Pair
from dashboards.charts.pictures import curves_picture, matrix_picture, sheet_picture, storage_picture
from dashboards.views.views import PairCell, PairMatrix, pair_matrix, sequence_sheets, storage
from registry import Registry
from tests.dashboards.conftest import SEPARATE


def colours(picture: bytes) -> int:
    """How many different colours a PNG has; one that shows nothing has one."""
    pixels = imread(io.BytesIO(picture), format="png")
    return len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1]).tolist()})


def test_every_view_is_a_picture(filled: Registry) -> None:
    sheets = sequence_sheets(SEPARATE, filled.catalog.cells(SEPARATE.digest), "bleu")
    matrix = pair_matrix(filled.pairs(), filled.scores(), "bleu")
    drawn = [
        matrix_picture(matrix, "BLEU"),
        sheet_picture(sheets[0]),
        curves_picture(sheets),
        storage_picture(storage(filled.parent(), filled.modules())),
    ]
    assert all(picture.startswith(b"\x89PNG") and colours(picture) > 20 for picture in drawn)


def test_a_matrix_without_any_score() -> None:
    cell = PairCell(Pair("fr", "en"), "original", "", None, "no score yet")
    assert colours(matrix_picture(PairMatrix.of("bleu", [cell]), "BLEU")) > 1


def test_the_same_picture_each_time(filled: Registry) -> None:
    stored = storage(filled.parent(), filled.modules())
    assert storage_picture(stored) == storage_picture(stored)
