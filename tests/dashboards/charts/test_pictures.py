from __future__ import annotations

import io

from matplotlib.image import imread

from continual_mt.evaluation.embedding_map import JointMap
from continual_mt.languages import Pair
from dashboards.charts.pictures import (
    MAP_DOTS_PER_INCH,
    MAP_INCHES,
    curves_picture,
    joint_map_picture,
    matrix_picture,
    sheet_picture,
    storage_picture,
)
from dashboards.views.views import PairCell, PairMatrix, pair_matrix, sequence_sheets, storage
from registry import Registry
from tests.dashboards.conftest import SEPARATE

MAP = JointMap(
    labels=("Haus", "5 $ und 6 $", "maison", "犬"),
    languages=("de", "de", "fr", "fr"),
    xy=((0.0, 0.0), (1.0, 0.5), (0.1, 0.0), (-1.0, 0.4)),
    links=((0, 2), (1, 3)),
    explained=(0.4, 0.1),
)


def colours(picture: bytes) -> int:
    """Count the colours in a PNG; an empty picture has one."""
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


def test_pictures_are_reproducible(filled: Registry) -> None:
    stored = storage(filled.parent(), filled.modules())
    assert storage_picture(stored) == storage_picture(stored)


def test_the_map_has_the_expected_size_and_one_colour_per_language() -> None:
    drawn = joint_map_picture(MAP, "de to fr, 3 $ and 4 $")
    assert drawn.startswith(b"\x89PNG\r\n")
    pixels = imread(io.BytesIO(drawn), format="png")
    assert pixels.shape[:2] == (MAP_INCHES * MAP_DOTS_PER_INCH,) * 2
    colours = {tuple((pixel[:3] * 255).round().astype(int)) for row in pixels[::2, ::2] for pixel in row}
    assert {(31, 119, 180), (255, 127, 14)} <= colours


def test_the_picture_of_a_map_is_reproducible() -> None:
    assert joint_map_picture(MAP, "de to fr") == joint_map_picture(MAP, "de to fr")
