from __future__ import annotations

import io

import matplotlib.image

from continual_mt.evaluation.embedding_map import JointMap
from dashboards.charts.alignment_map import DOTS_PER_INCH, INCHES, draw

MAP = JointMap(
    labels=("Haus", "5 $ und 6 $", "maison", "犬"),
    languages=("de", "de", "fr", "fr"),
    xy=((0.0, 0.0), (1.0, 0.5), (0.1, 0.0), (-1.0, 0.4)),
    links=((0, 2), (1, 3)),
    explained=(0.4, 0.1),
)


def test_a_png_of_the_size_that_was_asked_for_with_a_colour_a_language() -> None:
    drawn = draw(MAP, "de to fr, 3 $ and 4 $")
    assert drawn.startswith(b"\x89PNG\r\n")
    pixels = matplotlib.image.imread(io.BytesIO(drawn), format="png")
    assert pixels.shape[:2] == (INCHES * DOTS_PER_INCH,) * 2
    colours = {tuple((pixel[:3] * 255).round().astype(int)) for row in pixels[::2, ::2] for pixel in row}
    assert {(31, 119, 180), (255, 127, 14)} <= colours


def test_the_same_map_is_the_same_picture() -> None:
    assert draw(MAP, "de to fr") == draw(MAP, "de to fr")
