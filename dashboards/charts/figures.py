"""The views as plotly figures, for the page, the report and the artifacts of an MLflow run."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.evaluation.embedding_map import JointMap
from continual_mt.evaluation.metric_names import METRIC_LABELS
from dashboards.charts.drawing import colour_scale, inks, titled
from dashboards.tables.artifacts import percent, points, size
from dashboards.theme.palette import KIND_COLOURS, SERIES, role
from dashboards.views.views import CURVES, Measurement, PairCell, PairMatrix, SequenceSheet, Storage, hover

MAX_LABELLED_CELLS = 400  # text in the cells of a larger heatmap would be too small to read
MARKERS: dict[RecipeKind, str] = {"original": "star", "supervised": "square", "bridge": "diamond", "pivot": "x"}
_ROOMY = 12  # columns into which the kind of a recipe fits at the usual size
CARRIED = " ="
CARRIED_NOTE = "carried forward: the logits are bit-equal"


def matrix_figure(matrix: PairMatrix, title: str) -> go.Figure:
    """Draw one heatmap, coloured by score, with the kind of recipe in each cell.

    In a matrix of more than MAX_LABELLED_CELLS cells, a marker shows the kind instead. Only the heatmap reacts to the
    pointer; the background and the markers do not.
    """
    rows = matrix.rows()
    labelled = len(matrix.sources) * len(matrix.targets) <= MAX_LABELLED_CELLS
    name = METRIC_LABELS[matrix.metric]
    figure = go.Figure(_background(matrix, rows, labelled=labelled))
    figure.add_heatmap(
        x=matrix.targets,
        y=matrix.sources,
        z=[[None if cell is None else cell.value for cell in row] for row in rows],
        **(_labels(matrix, scored=True) if labelled else {}),
        hovertext=[["cannot be run" if cell is None else hover(cell, matrix.metric) for cell in row] for row in rows],
        hoverinfo="text",
        hoverongaps=True,
        colorscale=colour_scale(matrix.metric),
        colorbar={"title": name},
        xgap=1,
        ygap=1,
        name=name,
    )
    if not labelled:
        kinds = {cell.kind for cell in matrix.cells.values()}
        figure.add_traces([_marks(matrix, kind) for kind in MARKERS if kind in kinds])
        title += "; a cell without a mark is zero-shot"
    height = 170 + max(3, len(matrix.sources)) * (44 if labelled else 8)
    figure.update_layout(plot_bgcolor=role("absent"))
    # Fixed ranges: with markers, plotly would add a margin around the cells.
    figure.update_xaxes(
        type="category", title="target", side="top", range=[-0.5, len(matrix.targets) - 0.5], showgrid=False
    )
    figure.update_yaxes(type="category", title="source", range=[len(matrix.sources) - 0.5, -0.5], showgrid=False)
    return titled(figure, title, min(height, 1100))


def _labels(matrix: PairMatrix, *, scored: bool) -> dict[str, Any]:
    """The text of the cells that have a score, or of those that have none."""
    inked = inks((cell.value for cell in matrix.cells.values()), matrix.metric)

    def text_of(cell: PairCell | None) -> str:
        if cell is None or (cell.value is not None) != scored:
            return ""
        return _label(cell) if cell.value is None else inked(cell.value, _label(cell))

    size = 11 if len(matrix.targets) <= _ROOMY else 9
    text = [[text_of(cell) for cell in row] for row in matrix.rows()]
    return {"text": text, "texttemplate": "%{text}", "textfont": {"size": size}}


def _label(cell: PairCell) -> str:
    value = "no score" if cell.value is None else points(cell.value)
    kind = f"{cell.kind}, {cell.models} models" if cell.models > 1 else cell.kind
    return "<br>".join(filter(None, (value, kind, cell.remark)))


def _background(matrix: PairMatrix, rows: Sequence[Sequence[PairCell | None]], *, labelled: bool) -> go.Heatmap:
    """Colour and label the cells of pairs that can be run but have no score.

    A heatmap in which no cell has a value draws no text at all, so that the scores' heatmap cannot label these.
    """
    return go.Heatmap(
        x=matrix.targets,
        y=matrix.sources,
        z=[[None if cell is None else 0 for cell in row] for row in rows],
        **(_labels(matrix, scored=False) if labelled else {}),
        colorscale=[[0, role("unscored")], [1, role("unscored")]],
        showscale=False,
        hoverinfo="skip",
        xgap=1,
        ygap=1,
    )


def _marks(matrix: PairMatrix, kind: RecipeKind) -> go.Scatter:
    chosen = [cell.pair for cell in matrix.cells.values() if cell.kind == kind]
    return go.Scatter(
        x=[pair.target for pair in chosen],
        y=[pair.source for pair in chosen],
        mode="markers",
        marker={
            "symbol": MARKERS[kind],
            "size": 7,
            "color": KIND_COLOURS[kind].light,
            "line": {"width": 1, "color": role("surface")},
        },
        name=kind,
        hoverinfo="skip",
        showlegend=True,
    )


def sheet_figure(sheet: SequenceSheet) -> go.Figure:
    """Draw a heatmap of scores: one row per pair, one column per position. ``=`` marks scores carried forward."""
    figure = go.Figure(
        go.Heatmap(
            x=sheet.positions,
            y=[html.escape(row.label) for row in sheet.rows],
            z=[list(row.values) for row in sheet.rows],
            **(_sheet_labels(sheet) if len(sheet.rows) * len(sheet.positions) <= MAX_LABELLED_CELLS else {}),
            hovertext=[
                [
                    f"{html.escape(row.label)}<br>{kind}<br>{points(value)}" + f"<br>{CARRIED_NOTE}" * carried
                    for value, kind, carried in _cells(row)
                ]
                for row in sheet.rows
            ],
            hoverinfo="text",
            colorscale=colour_scale(sheet.metric),
            colorbar={"title": METRIC_LABELS[sheet.metric]},
            xgap=1,
            ygap=1,
        )
    )
    figure.update_layout(plot_bgcolor=role("absent"))
    figure.update_xaxes(type="category", title="position in the sequence and last addition", side="top", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return titled(figure, sheet.title + _row_count(len(sheet.rows), sheet.left_out), 190 + 24 * len(sheet.rows))


def _sheet_labels(sheet: SequenceSheet) -> dict[str, Any]:
    inked = inks((value for row in sheet.rows for value in row.values), sheet.metric)
    text = [
        ["" if value is None else inked(value, points(value) + CARRIED * carried) for value, _, carried in _cells(row)]
        for row in sheet.rows
    ]
    return {"text": text, "texttemplate": "%{text}", "textfont": {"size": 11}}


def _cells(row: Measurement) -> list[tuple[float | None, str, bool]]:
    return list(zip(row.values, row.kinds, row.carried, strict=True))


def curves_figure(sheets: Sequence[SequenceSheet]) -> go.Figure:
    """Draw one panel per view and one curve per pair over the positions; a pair has the same colour in every panel."""
    figure = make_subplots(rows=1, cols=len(sheets), shared_yaxes=True, subplot_titles=[sheet.view for sheet in sheets])
    colours: dict[str, str] = {}
    for column, sheet in enumerate(sheets, start=1):
        for row in sheet.shown(CURVES):
            in_legend = row.label in colours
            colour = colours.setdefault(row.label, _colour(len(colours)))
            curve = go.Scatter(
                x=sheet.positions,
                y=list(row.values),
                name=html.escape(row.label),
                legendgroup=row.label,
                showlegend=not in_legend,
                mode="lines+markers",
                line={"color": colour},
            )
            figure.add_trace(curve, row=1, col=column)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title=METRIC_LABELS[sheets[0].metric], col=1)
    most = max(sheets, key=lambda sheet: len(sheet.rows) + sheet.left_out)
    shown = len(most.shown(CURVES))
    hidden = len(most.rows) + most.left_out - shown
    title = f"{METRIC_LABELS[sheets[0].metric]} of each pair by position{_row_count(shown, hidden)}"
    return titled(figure, title, 480)


def _colour(number: int) -> str:
    # Steps of the golden angle: curves next to each other in the legend get clearly different hues.
    return f"hsl({number * 137.5 % 360:.0f},65%,{45 if number % 2 else 60}%)"


def storage_figure(storage: Storage) -> go.Figure:
    """Draw two panels: the total compared with full copies, and the parent and each module."""
    figure = make_subplots(rows=1, cols=2, column_widths=[0.3, 0.7], subplot_titles=["total", "parent and each module"])
    totals = {
        "parent": (storage.parent_bytes, 0),
        "modules": (storage.modules_bytes, 0),
        "full copies": (0, storage.copies_bytes),
    }
    for name, values in totals.items():
        places = ["parent and modules", "full copies"]
        text = [size(value) if value else "" for value in values]
        figure.add_trace(go.Bar(x=places, y=values, name=name, text=text, hoverinfo="name+text"), row=1, col=1)
    names = [f"parent {storage.parent}", *(name for name, _ in storage.modules)]
    each = [storage.parent_bytes, *(stored for _, stored in storage.modules)]
    figure.add_trace(
        go.Bar(
            x=names,
            y=each,
            hovertext=list(map(size, each)),
            hoverinfo="x+text",
            showlegend=False,
            marker_color=role("muted"),
        ),
        row=1,
        col=2,
    )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="bytes", rangemode="tozero")
    return titled(figure, storage.summary, 480)


def joint_map_figure(joint_map: JointMap, title: str) -> go.Figure:
    """Draw one point per word, one colour per language, and a line from each word to its translation."""
    figure = go.Figure(_links(joint_map))
    for number, language in enumerate(dict.fromkeys(joint_map.languages)):
        colour = SERIES[2 * number % len(SERIES)].light
        rows = [row for row, its_language in enumerate(joint_map.languages) if its_language == language]
        words = [html.escape(joint_map.labels[row]) for row in rows]
        figure.add_scatter(
            x=[joint_map.xy[row][0] for row in rows],
            y=[joint_map.xy[row][1] for row in rows],
            mode="markers+text",
            text=words,
            textposition="top center",
            textfont={"size": 10, "color": colour},
            marker={"size": 5, "color": colour},
            name=language,
            hovertext=[f"{word} ({language})" for word in words],
            hoverinfo="text",
        )
    for axis, share in zip((figure.update_xaxes, figure.update_yaxes), joint_map.explained, strict=True):
        axis(title=f"{percent(share)} of the variance", zeroline=False)
    return titled(figure, title, 700).update_layout(margin={"t": 50})


def _links(joint_map: JointMap) -> go.Scatter:
    """Return all lines as one trace, with a gap after each line."""
    places: list[tuple[float | None, float | None]] = []
    for start, end in joint_map.links:
        places += [joint_map.xy[start], joint_map.xy[end], (None, None)]
    return go.Scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        mode="lines",
        line={"color": role("line"), "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )


def _row_count(shown: int, left_out: int) -> str:
    return f" ({shown:,} of {shown + left_out:,} rows)" if left_out else ""
