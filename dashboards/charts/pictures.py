"""The views as PNG pictures, drawn by matplotlib; neither a display nor a browser is needed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from continual_mt.evaluation.embedding_map import JointMap
from continual_mt.evaluation.metric_names import METRIC_LABELS, is_higher_better
from dashboards.tables.artifacts import points
from dashboards.views.views import CURVES, PairMatrix, SequenceSheet, Storage

MAX_LABELLED_CELLS = 400
MAP_INCHES = 10.0
MAP_DOTS_PER_INCH = 150
_DOTS_PER_INCH = 100
_MEGABYTE = 1e6
_MAX_WIDTH, _MAX_HEIGHT = 30.0, 40.0


def matrix_picture(matrix: PairMatrix, title: str) -> bytes:
    """Draw source × target languages, coloured by score; a small matrix shows the values, too."""
    values = [[None if cell is None else cell.value for cell in row] for row in matrix.rows()]
    return _heatmap(values, matrix.targets, matrix.sources, title, matrix.metric)


def sheet_picture(sheet: SequenceSheet) -> bytes:
    """Draw a heatmap of scores: one row per pair, one column per position."""
    labels = [row.label for row in sheet.rows]
    return _heatmap([row.values for row in sheet.rows], sheet.positions, labels, sheet.title, sheet.metric)


def curves_picture(sheets: Sequence[SequenceSheet]) -> bytes:
    """Draw one panel per view and one curve per pair over the positions."""
    figure, panels = _figure(len(sheets), 5.0 * len(sheets) + 3, 5.0)
    colours: dict[str, str] = {}
    for axes, sheet in zip(panels, sheets, strict=True):
        for row in sheet.shown(CURVES):
            colour = colours.setdefault(row.label, f"C{len(colours) % 10}")
            values = [np.nan if value is None else value for value in row.values]
            axes.plot(range(len(values)), values, marker="o", label=row.label, color=colour)
        axes.set_title(sheet.view)
        axes.set_xticks(range(len(sheet.positions)), sheet.positions, rotation=45, ha="right")
    panels[0].set_ylabel(METRIC_LABELS[sheets[0].metric])
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=7)
    return _png(figure)


def storage_picture(storage: Storage) -> bytes:
    """Draw the total size compared with full copies, and the size of the parent and each module."""
    names = ["full copies", "parent and modules", "parent", *(name for name, _ in storage.modules)]
    stored = [storage.parent_bytes, *(stored for _, stored in storage.modules)]
    values = [storage.copies_bytes, sum(stored), *stored]
    figure, (axes,) = _figure(1, 8.0, min(_MAX_HEIGHT, 1.5 + 0.25 * len(names)))
    axes.barh(names, [value / _MEGABYTE for value in values], color=["#bbbbbb", "#4477aa", "#777777"])
    axes.invert_yaxis()
    axes.set_xlabel("MB")
    axes.set_title(storage.summary, fontsize=9)
    return _png(figure)


def joint_map_picture(joint_map: JointMap, title: str) -> bytes:
    """Draw one labelled point per word, one colour per language, and a line from each word to its translation.

    Letters missing from matplotlib's default font are drawn as boxes.
    """
    # Without pyplot, which would look for a display and keep the figure in memory.
    figure = Figure(figsize=(MAP_INCHES, MAP_INCHES), dpi=MAP_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = [[joint_map.xy[start], joint_map.xy[end]] for start, end in joint_map.links]
    axes.add_collection(LineCollection(lines, colors="0.8", linewidths=0.8, zorder=1))
    for number, language in enumerate(dict.fromkeys(joint_map.languages)):
        colour = f"C{number}"
        points = [i for i, its_language in enumerate(joint_map.languages) if its_language == language]
        xs, ys = ([joint_map.xy[i][axis] for i in points] for axis in (0, 1))
        axes.scatter(xs, ys, s=12, color=colour, label=language, zorder=2)
        for i in points:
            text = axes.annotate(
                joint_map.labels[i], joint_map.xy[i], (3, 3), textcoords="offset points", fontsize=7, color=colour
            )
            text.set_parse_math(False)  # show dollar signs as they are
    axes.set_title(title, parse_math=False)
    for name, share in zip(("x", "y"), joint_map.explained, strict=True):
        axes.set(**{f"{name}label": f"{share:.1%} of the variance"})
    axes.legend(loc="upper right")  # loc="best" is slow with many points
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(content, format="png")
    return content.getvalue()


def _heatmap(
    values: Sequence[Sequence[float | None]], columns: Sequence[str], rows: Sequence[str], title: str, metric: str
) -> bytes:
    figure, (axes,) = _figure(1, min(_MAX_WIDTH, 4 + 0.8 * len(columns)), min(_MAX_HEIGHT, 2 + 0.3 * len(rows)))
    numbers = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=float)
    # Bright is good: where lower is better the scale is reversed.
    colours = "viridis" if is_higher_better(metric) else "viridis_r"
    image = axes.imshow(np.ma.masked_invalid(numbers), aspect="auto", cmap=colours)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_title(title, fontsize=9)
    figure.colorbar(image, ax=axes, label=METRIC_LABELS[metric])
    if numbers.size <= MAX_LABELLED_CELLS and not np.isnan(numbers).all():
        _label_cells(axes, numbers, bright_is_high=is_higher_better(metric))
    return _png(figure)


def _label_cells(axes: Axes, numbers: np.ndarray, *, bright_is_high: bool) -> None:
    middle = (np.nanmax(numbers) + np.nanmin(numbers)) / 2
    for (row, column), value in np.ndenumerate(numbers):
        if not np.isnan(value):
            is_dark = value <= middle if bright_is_high else value > middle
            colour = "white" if is_dark else "black"
            axes.text(column, row, points(value), ha="center", va="center", color=colour, fontsize=7)


def _figure(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(min(_MAX_WIDTH, width), height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
