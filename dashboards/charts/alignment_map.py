"""The map of a joint embedding space, drawn."""

from __future__ import annotations

import io
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from continual_mt.evaluation.embedding_map import JointMap

INCHES = 10.0
DOTS_PER_INCH = 150


def draw(drawn: JointMap, title: str) -> bytes:
    """A PNG: a colour a language, each point with its word, a line from each word to its translation.

    Letters that matplotlib's own font has not got become boxes.
    """
    # Not pyplot, which would look for a screen and keep the figure.
    figure = Figure(figsize=(INCHES, INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = [[drawn.xy[start], drawn.xy[end]] for start, end in drawn.links]
    axes.add_collection(LineCollection(lines, colors="0.8", linewidths=0.8, zorder=1))
    for number, language in enumerate(dict.fromkeys(drawn.languages)):
        colour = f"C{number}"
        points = [i for i, spoken in enumerate(drawn.languages) if spoken == language]
        xs, ys = ([drawn.xy[i][axis] for i in points] for axis in (0, 1))
        axes.scatter(xs, ys, s=12, color=colour, label=language, zorder=2)
        for i in points:
            text = axes.annotate(
                drawn.labels[i], drawn.xy[i], (3, 3), textcoords="offset points", fontsize=7, color=colour
            )
            text.set_parse_math(False)  # a dollar sign is a word
    axes.set_title(title, parse_math=False)
    for name, share in zip(("x", "y"), drawn.explained, strict=True):
        axes.set(**{f"{name}label": f"{share:.1%} of the variance"})
    axes.legend(loc="upper right")  # "best" takes long with many points
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(written, format="png")
    return written.getvalue()
